# Converges: every resource in order, what it notifies at once, and at the end what was put off.

require_relative "run_context"

class Chef
  class Runner
    def initialize(run_context)
      @run_context = run_context
    end

    # Converges all resources, then runs the delayed actions in the order they were first queued, also after a failure.
    # Raises the one failure there was, or all of them together.
    def converge
      failures = []
      collection = @run_context.resource_collection
      begin
        collection.each(&:resolve_notifications)
        collection.execute_each_resource { |resource| Array(resource.action).each { |action| run_action(resource, action) } }
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

    private

    def run_action(resource, action, timing = nil, notifier = nil)
      resource.resolve_notifications
      warn_before(resource, action)
      resource.run_action(action, timing, notifier)
      return unless resource.updated_by_last_action?

      sent(resource, :immediate).each { |to| run_action(to.resource, to.action, :immediate, resource) }
      sent(resource, :delayed).each { |to| @run_context.add_delayed_action(to) }
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

      before.each { |to| run_action(to.resource, to.action, :before, resource) }
    end

    def sent(resource, timing)
      @run_context.notifications.fetch(timing)[resource.declared_key]
    end
  end
end
