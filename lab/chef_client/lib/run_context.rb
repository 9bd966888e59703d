# What a run holds: the node, the cookbooks, the resources in order, and who notifies whom. An action of a custom
# resource has a context of its own below it. Source: lib/chef/run_context.rb and lib/chef/resource_collection.rb, Chef 17.

require_relative "notification"

class Chef
  # The resources in the order they were declared; one declared while another converges comes right after it. In unified
  # mode each one converges as it is declared.
  class ResourceCollection
    include Enumerable

    attr_accessor :unified_mode

    def initialize(run_context)
      @run_context = run_context
      @resources = []
      @at = nil
      @unified_mode = false
    end

    def insert(resource)
      @at ? @resources.insert(@at += 1, resource) : @resources << resource
      @run_context.runner.run_all_actions(resource) if unified_mode
    end

    def each(&block)
      @resources.each(&block)
    end

    def size
      @resources.size
    end
    alias all_resources to_a

    # Yields each resource, those inserted meanwhile included.
    def execute_each_resource
      index = 0
      while index < @resources.size
        @at = index
        yield @resources[index]
        index += 1
      end
    ensure
      @at = nil
    end

    # Returns the resource last declared as "type[name]", here or in a context above. Raises
    # Chef::Exceptions::ResourceNotFound.
    def find(key)
      raise Standin::Unknown.new("way to look up a resource", key.inspect) unless key.is_a?(String)
      unless key.match?(/\A\w+\[.+\]\z/m)
        raise Exceptions::InvalidResourceSpecification, "The object `#{key.inspect}' is not valid for resource collection lookup"
      end
      here = @resources.reverse.find { |resource| resource.declared_key == key }
      return here if here

      above = @run_context.parent_run_context
      raise Exceptions::ResourceNotFound, "Cannot find a resource matching #{key} (did you define it first?)" unless above

      above.resource_collection.find(key)
    end
    alias lookup find
  end

  class RunContext
    attr_reader :node, :events, :cookbook_collection, :parent_run_context
    attr_reader :resource_collection, :delayed_actions, :notifications, :updated
    attr_accessor :runner

    def initialize(node, events)
      @node = node
      @events = events
      node.run_context = self
      start_empty
    end

    def root_run_context
      parent_run_context ? parent_run_context.root_run_context : self
    end

    def create_child
      ChildRunContext.new(self)
    end

    def unified_mode
      resource_collection.unified_mode
    end

    # chef-utils asks for it: nil says that commands run here, not over train.
    def transport_connection
      nil
    end

    def inspect
      "#<#{self.class} of #{node.name}>"
    end

    def cookbook_collection=(cookbooks)
      @cookbook_collection = cookbooks
      cookbooks.each_value { |cookbook| node.automatic["cookbooks"][cookbook.name] = { "version" => cookbook.version } }
    end

    # Queues an action for the end of this context's converge, unless the same action on the same resource is already
    # queued.
    def add_delayed_action(notification)
      return if delayed_actions.any? { |queued| queued.same?(notification) }

      delayed_actions << notification
    end

    # Loads a recipe once. Returns whether it was loaded now.
    def include_recipe(name)
      full = RunList.recipe(name)
      return false if node.recipes.include?(full)

      node.recipes << full
      cookbook, recipe = full.split("::")
      Recipe.new(cookbook, recipe, self).from_file(cookbook_collection[cookbook].recipe_file(recipe))
      true
    end

    private

    # `updated` are the keys of the resources that changed something, for those who listen to them later.
    def start_empty
      @resource_collection = ResourceCollection.new(self)
      @notifications = { before: Notification.table, immediate: Notification.table, delayed: Notification.table }
      @delayed_actions = []
      @updated = []
    end
  end

  # The context of one action of a custom resource.
  class ChildRunContext < RunContext
    def initialize(parent) # rubocop:disable Lint/MissingSuper
      @parent_run_context = parent
      @node, @events, @cookbook_collection = parent.node, parent.events, parent.cookbook_collection
      start_empty
    end

    def include_recipe(*)
      raise Standin::Unknown.new("way to load a recipe", "include_recipe in an action")
    end
  end
end
