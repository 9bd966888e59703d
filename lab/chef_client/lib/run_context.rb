# What a run holds: the node, the cookbooks, the resources in order, and who notifies whom.

require_relative "notification"

class Chef
  # The resources in the order they were declared; one declared while another converges comes right after it.
  class ResourceCollection
    include Enumerable

    def initialize
      @resources = []
      @at = nil
    end

    def insert(resource)
      @at ? @resources.insert(@at += 1, resource) : @resources << resource
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

    # Returns the resource last declared as "type[name]". Raises Chef::Exceptions::ResourceNotFound.
    def find(key)
      raise Standin::Unknown.new("way to look up a resource", key.inspect) unless key.is_a?(String)
      unless key.match?(/\A\w+\[.+\]\z/m)
        raise Exceptions::InvalidResourceSpecification, "The object `#{key.inspect}' is not valid for resource collection lookup"
      end
      @resources.reverse.find { |resource| resource.declared_key == key } ||
        raise(Exceptions::ResourceNotFound, "Cannot find a resource matching #{key} (did you define it first?)")
    end
    alias lookup find
  end

  class RunContext
    attr_reader :node, :events, :cookbook_collection, :resource_collection, :delayed_actions, :notifications

    def initialize(node, events)
      @node = node
      @events = events
      node.run_context = self
      @resource_collection = ResourceCollection.new
      @notifications = { before: Notification.table, immediate: Notification.table, delayed: Notification.table }
      @delayed_actions = []
    end

    # The stand-in knows one run context: it has no custom resources, whose actions have their own.
    def root_run_context
      self
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

    # Queues an action for the end of the run, unless the same action on the same resource is already queued.
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
  end
end
