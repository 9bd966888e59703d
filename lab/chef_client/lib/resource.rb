# What all resources have: actions, guards, notifications, retries.

require_relative "property"
require_relative "guard"
require_relative "dsl"

class Chef
  class Resource
    extend Standin::Strict
    extend Property
    include Property::Values
    include DSL::Universal

    attr_reader :name, :run_context, :cookbook_name, :recipe_name, :declared_type
    attr_accessor :source_line, :enclosing_provider

    property :ignore_failure, [true, false, :quiet, "quiet"]
    property :retries, Integer, default: 0
    property :retry_delay, Integer, default: 2
    property :sensitive, [true, false], default: false

    # The resources a recipe can declare, by the name it declares them with.
    def self.known
      @@known ||= {} # rubocop:disable Style/ClassVars
    end

    def self.provides(name)
      Resource.known[name] = self
      define_method(:resource_name) { name }
    end

    def initialize(name, run_context, cookbook_name: nil, recipe_name: nil)
      @name = name.is_a?(Array) ? name.join(", ") : name.to_s
      @run_context = run_context
      @cookbook_name = cookbook_name
      @recipe_name = recipe_name
      @values = {}
      @guards = []
      @action = nil
      @updated = @updated_by_last_action = false
    end

    def node
      run_context.node
    end

    def action(*names)
      return @action || [self.class.default_action] if names.empty?

      @action = names.flatten.map(&:to_sym).each { |name| check_action(name) }
    end

    def to_s
      "#{resource_name}[#{name}]"
    end
    alias declared_key to_s
    alias inspect to_s

    def not_if(command = nil, **options, &block)
      @guards << Guard.new(self, :not_if, command, options, block)
    end

    def only_if(command = nil, **options, &block)
      @guards << Guard.new(self, :only_if, command, options, block)
    end

    def notifies(action, resources, timing = :delayed)
      [resources].flatten.each { |resource| connect(Notification.new(resource, action.to_sym, self), declared_key, timing) }
    end

    def subscribes(action, resources, timing = :delayed)
      check_action(action.to_sym)
      [resources].flatten.each do |resource|
        connect(Notification.new(self, action.to_sym, resource), resource.is_a?(String) ? resource : resource.declared_key, timing)
      end
    end

    # Queues actions of this resource for the end of the run, whether it changes anything or not.
    def delayed_action(*actions)
      actions.flatten.each { |action| run_context.add_delayed_action(Notification.new(self, check_action(action.to_sym), self)) }
    end

    def resources(key)
      run_context.resource_collection.find(key)
    end

    def resolve_notifications(must: false)
      run_context.notifications.each_value do |table|
        table[declared_key].each { |notification| notification.resolve(run_context.resource_collection, must: must) }
      end
    end

    def updated_by_last_action(changed)
      @updated ||= changed
      @updated_by_last_action = changed
    end

    def updated_by_last_action?
      @updated_by_last_action
    end

    def updated?
      @updated
    end
    alias updated updated?

    # Does one action now, its guards and retries heeded; tells the run's events. Raises what the provider raises, with
    # the resource's place in the recipe before it.
    def run_action(action, timing = nil, notifier = nil)
      run_context.events.fire(:resource_action_start, self, action, timing, notifier)
      updated_by_last_action(false)
      return if skipped?(action)

      check_action(action)
      left = retries
      begin
        self.class::Provider.new(self, run_context).run_action(action)
      rescue StandardError => error
        if ignore_failure
          run_context.events.fire(:resource_failed, self, action, error)
        elsif left.positive?
          run_context.events.fire(:resource_failed_retriable, self, action, left, error)
          left -= 1
          sleep retry_delay
          retry
        else
          run_context.events.fire(:resource_failed, self, action, error)
          raise placed(error)
        end
      end
    ensure
      run_context.events.fire(:resource_completed, self)
    end

    def defined_at
      line = source_line.to_s[/:(\d+)/, 1]
      cookbook_name ? "#{cookbook_name}::#{recipe_name} line #{line}" : "dynamically defined"
    end

    # What a resource in an action does not know itself its action may: `new_resource`, and what action_class defines.
    def method_missing(name, *arguments, &block)
      return enclosing_provider.public_send(name, *arguments, &block) if enclosing_provider.respond_to?(name)

      raise Standin::Unknown.new("property or helper of #{self} (#{defined_at})", name)
    end

    def respond_to_missing?(*)
      false
    end

    private

    def check_action(name)
      raise Standin::Unknown.new("action of #{self}", name) unless self.class.allowed_actions.include?(name)

      name
    end

    def connect(notification, key, timing)
      kind = Notification::TIMINGS[timing.to_sym] || raise(ArgumentError, "invalid timing: #{timing} for notifies of #{self}")
      run_context.notifications.fetch(kind)[key] << notification
      return unless run_context.unified_mode && run_context.updated.include?(key)
      raise Standin::Unknown.new("notification in unified mode of what is updated by now with the timing", timing) unless kind == :delayed

      run_context.add_delayed_action(notification)
    end

    def skipped?(action)
      reason = action == :nothing ? "action :nothing" : @guards.find { |guard| !guard.continue? }&.description
      run_context.events.fire(:resource_skipped, self, action, reason) if reason
      reason
    end

    def placed(error)
      copy = error.exception("#{self} (#{defined_at}) had an error: #{error.class}: #{error.message}")
      copy.set_backtrace(error.backtrace)
      copy
    end
  end
end
