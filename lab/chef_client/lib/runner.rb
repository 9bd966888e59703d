# Converges: every resource in order, what it notifies at once, and at the end what was put off. Source of the order:
# lib/chef/runner.rb, Chef 17.

require_relative "run_context"

class Chef
  class Runner
    def initialize(run_context)
      @run_context = run_context
      run_context.runner = self
    end

    # Converges all resources, which in unified mode has been done by now, then runs the delayed actions in the order they were first queued, also after a failure.
    # Raises the one failure there was, or all of them together.
    def converge
      failures = []
      collection = @run_context.resource_collection
      begin
        collection.each(&:resolve_notifications)
        collection.execute_each_resource { |resource| run_all_actions(resource) } unless collection.unified_mode
        collection.each { |resource| resource.resolve_notifications(must: true) }
      rescue StandardError, ScriptError => error
        failures << ["chef run", error]
      end
      # An action may queue another: Array#each comes to what is appended while it runs.
      @run_context.delayed_actions.each do |notification|
        notification.resolve(collection)
        run_action(notification.resource, notification.action, :delayed, notification.notifier)
      rescue StandardError, ScriptError => error
        failures << ["delayed notification", error]
      end
      raise failures.first.last if failures.size == 1
      raise Exceptions::MultipleFailures, failures if failures.size > 1
    end

    def run_all_actions(resource)
      Array(resource.action).each { |action| run_action(resource, action) }
    end

    private

    def run_action(resource, action, timing = nil, notifier = nil)
      resource.resolve_notifications
      warn_before(resource, action)
      resource.run_action(action, timing, notifier)
      return unless resource.updated_by_last_action?

      @run_context.updated << resource.declared_key
      sent(resource, :immediate).each { |to| run_action(declared(to), to.action, :immediate, resource) }
      # Put off until the end of the converge that the receiver belongs to. A name that no resource has yet stays here.
      sent(resource, :delayed).each { |to| (to.resource.is_a?(String) ? @run_context : to.resource.run_context).add_delayed_action(to) }
    end

    # A :before notification is sent when a why-run of the action says that it would change something.
    def warn_before(resource, action)
      before = sent(resource, :before)
      return if before.empty?

      why_run = Config[:why_run]
      begin
        Config[:why_run] = true
        resource.run_action(action)
      ensure
        Config[:why_run] = why_run
      end
      return unless resource.updated_by_last_action?

      before.each { |to| run_action(declared(to), to.action, :before, resource) }
    end

    def declared(notification)
      return notification.resource unless notification.resource.is_a?(String)

      raise Standin::Unknown.new("immediate notification in unified mode of the later", notification.resource)
    end

    def sent(resource, timing)
      @run_context.notifications.fetch(timing)[resource.declared_key]
    end
  end
end
