# Run list items, and the recipes they come to.

require_relative "strict"

class Chef
  module RunList
    ITEM = /\A(?:recipe\[([\w.-]+(?:::[\w.-]+)?)(?:@([0-9.]+))?\]|([\w.-]+(?:::[\w.-]+)?)(?:@([0-9.]+))?)\z/.freeze

    # Returns "cookbook::recipe" names, each once, in order. Raises Chef::Standin::Unknown for a role.
    def self.expand(items)
      items.map { |item| recipe(item) }.uniq
    end

    # Returns what the server's solver is asked for: cookbooks, those whose item names a version as "cookbook@version".
    def self.cookbooks(items)
      items.map { |item| [recipe(item).split("::").first, ITEM.match(item).captures.values_at(1, 3).compact.first].compact.join("@") }.uniq
    end

    # Returns one item's full recipe name: "recipe[a]" and "a" are "a::default".
    def self.recipe(item)
      raise Standin::Unknown.new("run list item", item) if item.start_with?("role[")

      found = ITEM.match(item)
      raise Standin::Unknown.new("run list item", item) unless found

      name = found[1] || found[3]
      name.include?("::") ? name : "#{name}::default"
    end
  end
end
