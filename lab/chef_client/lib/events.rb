# What happens in a run, told to whoever registered: the console, and a cookbook's own handlers.

require_relative "strict"

class Chef
  # The events that the stand-in fires, with Chef's names and arguments (Chef::EventDispatch::Base, Chef 17).
  EVENTS = %i{
    run_start ohai_completed node_load_completed run_started cookbook_resolution_complete cookbook_sync_complete
    recipe_load_complete converge_start resource_action_start resource_skipped resource_up_to_date
    resource_update_applied resource_updated resource_failed_retriable resource_failed resource_completed
    converge_complete converge_failed run_completed run_failed
  }.freeze

  class Events
    def initialize
      @subscribers = []
    end

    def register(subscriber)
      @subscribers << subscriber
    end

    # Tells every subscriber, in the order they registered; what one of them raises reaches the run.
    def fire(event, *arguments)
      raise ArgumentError, "not an event: #{event}" unless EVENTS.include?(event)

      @subscribers.each { |subscriber| subscriber.public_send(event, *arguments) if subscriber.respond_to?(event) }
    end
  end

  # The object whose methods `Chef.event_handler do ... end` is written in.
  class EventHandlerDsl
    attr_reader :handler

    def initialize
      @handler = Object.new
    end

    def on(event, &block)
      raise Standin::Unknown.new("event", event) unless EVENTS.include?(event)

      @handler.define_singleton_method(event) { |*arguments| instance_exec(*arguments, &block) }
    end
  end

  class << self
    attr_accessor :run_context

    def node
      run_context&.node
    end

    # Registers a cookbook's handler: `Chef.event_handler { on(:run_failed) { |exception| ... } }`.
    def event_handler(&block)
      dsl = EventHandlerDsl.new
      dsl.instance_eval(&block)
      run_context.events.register(dsl.handler)
    end

    def method_missing(name, *)
      raise Standin::Unknown.new("helper", "Chef.#{name}")
    end

    def respond_to_missing?(*)
      false
    end
  end
end
