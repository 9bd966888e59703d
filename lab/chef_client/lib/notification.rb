# One resource telling another to act. Source of the timings: docs.chef.io/resource_common, "Notifications".

class Chef
  # `resource` is told to do `action` when `notifier` changed something; each side is a resource or its "type[name]".
  Notification = Struct.new(:resource, :action, :notifier) do
    def self.table
      Hash.new { |table, key| table[key] = [] }
    end

    # Puts resources where their names stand. Raises when there is no such resource, in unified mode only where it `must` be
    # there by now.
    def resolve(collection, must: true)
      self.resource = named(resource, collection)
      self.notifier = named(notifier, collection)
    rescue Exceptions::ResourceNotFound
      raise if must || !collection.unified_mode
    end

    def same?(other)
      other.resource == resource && other.action == action
    end

    private

    def named(side, collection)
      return side unless side.is_a?(String)

      collection.find(side)
    rescue Exceptions::ResourceNotFound
      raise Exceptions::ResourceNotFound, "resource #{notifier} is configured to notify resource #{resource} with action #{action}, " \
                                          "but #{side} cannot be found in the resource collection"
    end
  end

  Notification::TIMINGS = { delayed: :delayed, immediate: :immediate, immediately: :immediate, before: :before }.freeze
end
