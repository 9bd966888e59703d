# Run list items, and the recipes they come to.

require_relative "strict"

class Chef
  module RunList
    # Returns "cookbook::recipe" names, each once, in order. Raises Chef::Standin::Unknown for a role.
    def self.expand(items)
      items.map { |item| recipe(item) }.uniq
    end

    # Returns one item's full recipe name: "recipe[a]" and "a" are "a::default".
    def self.recipe(item)
      raise Standin::Unknown.new("run list item", item) if item.start_with?("role[")

      name = item[/\Arecipe\[(.+)\]\z/, 1] || item
      raise Standin::Unknown.new("run list item", item) unless name.match?(/\A[\w.-]+(::[\w.-]+)?\z/)

      name.include?("::") ? name : "#{name}::default"
    end
  end
end
