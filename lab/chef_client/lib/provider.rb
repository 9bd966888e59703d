# What all providers do: look at the machine, then change it, or in why-run say what would change.

require_relative "dsl"

class Chef
  class Provider
    extend Standin::Strict
    include DSL::Recipe

    attr_reader :new_resource, :run_context

    def initialize(new_resource, run_context)
      @new_resource = new_resource
      @run_context = run_context
    end

    def node
      run_context.node
    end

    def cookbook_name
      new_resource.cookbook_name
    end

    def recipe_name
      new_resource.recipe_name
    end

    def run_action(action)
      @action = action
      load_current
      public_send("action_#{action}")
      run_context.events.fire(new_resource.updated_by_last_action? ? :resource_updated : :resource_up_to_date, new_resource, action)
    end

    def why_run?
      Config[:why_run]
    end

    private

    def load_current; end

    # Changes something by the block, unless in why-run; either way the resource counts as updated.
    def converge_by(changes)
      yield unless why_run?
      run_context.events.fire(:resource_update_applied, new_resource, @action, changes)
      new_resource.updated_by_last_action(true)
    end
  end
end
