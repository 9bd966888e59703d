# The node object: name, environment, run list and attributes, as the server keeps them.

require_relative "attributes"
require_relative "mixins"

class Chef
  class Node
    include ChefUtils
    include Mixin::ChefUtilsWiring

    attr_reader :name, :run_list, :run_state
    attr_accessor :chef_environment, :run_context, :override_runlist, :recipes

    def initialize(name)
      @name = name
      @chef_environment = "_default"
      @run_list = []
      @run_state = {}
      @recipes = []
      @attributes = Attributes.new
    end

    # Returns the node that the server answered with (`found`), its normal attributes kept, or a new one for nil.
    def self.from_server(name, found)
      node = new(name)
      if found
        node.chef_environment = found["chef_environment"]
        node.run_list.replace(found["run_list"])
        node.attributes.replace(:normal, found["normal"])
      end
      node
    end

    attr_reader :attributes

    def environment
      chef_environment
    end

    def [](key)
      @attributes[key]
    end

    # Returns the value at a path of keys, nil when one is missing.
    def read(*path)
      value = self[path.first]
      path.drop(1).each do |key|
        return nil unless value.is_a?(Hash) || value.is_a?(Array)

        value = value[key]
      end
      value
    end

    def dig(*path)
      read(*path)
    end

    def key?(key)
      @attributes.key?(key)
    end
    alias attribute? key?
    alias has_key? key?

    def default
      @attributes.levels[:default]
    end

    def normal
      @attributes.levels[:normal]
    end

    def override
      @attributes.levels[:override]
    end

    def automatic
      @attributes.levels[:automatic]
    end

    # Removes the value at a path from the normal level, as Node#rm_normal does. Returns it.
    def rm_normal(*path)
      *way, last = path
      way.reduce(normal) { |level, key| level.is_a?(Hash) && level.key?(key) ? level[key] : (return nil) }.delete(last)
    end

    def tags
      normal["tags"] = Array(normal.fetch("tags", []))
    end

    # The run list of this run: the override's, if one was given.
    def effective_run_list
      override_runlist || run_list
    end

    def recipe?(name)
      recipes.include?(name)
    end

    # What the server is told at the end of a full run.
    def to_h
      {
        "name" => name, "chef_environment" => chef_environment, "json_class" => "Chef::Node", "chef_type" => "node",
        "automatic" => @attributes.saved([:automatic]), "normal" => @attributes.saved([:normal]),
        "default" => @attributes.saved(Attributes::DEFAULTS), "override" => @attributes.saved(Attributes::OVERRIDES), "run_list" => run_list
      }
    end

    # Runs an attributes file; its bare `default`, `normal`, `override` and `node` are this node's.
    def load_attributes(path)
      instance_eval(File.read(path), path)
    end

    def node
      self
    end

    def to_s
      "node[#{name}]"
    end
    alias inspect to_s

    def method_missing(name, *)
      raise Standin::Unknown.new("helper", "node.#{name}")
    end

    def respond_to_missing?(*)
      false
    end
  end
end
