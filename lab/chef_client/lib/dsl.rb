# The language recipes are written in.

require_relative "mixins"

class Chef
  module DSL
    extend Standin::Strict

    # What attributes, recipes, resources and providers share.
    module Universal
      include ChefUtils
      include Mixin::ShellOut

      def lazy(&block)
        DelayedEvaluator.new(&block)
      end

      def platform?(*names)
        names.flatten.map(&:to_s).include?(node["platform"])
      end

      def platform_family?(*names)
        names.flatten.map(&:to_s).include?(node["platform_family"])
      end
    end

    # What recipes and providers have beyond it: declaring resources and finding them.
    module Recipe
      include Universal

      def declare_resource(type, name, created_at: nil, &block)
        kind = Chef::Resource.known[type.to_sym] || raise(Standin::Unknown.new("resource", type))
        resource = kind.new(name, run_context, cookbook_name: cookbook_name, recipe_name: recipe_name)
        resource.source_line = (created_at || caller(1..1).first).to_s
        resource.enclosing_provider = self if is_a?(Chef::Provider)
        resource.instance_exec(*(new_resource if is_a?(Chef::Provider)), &block) if block
        run_context.resource_collection.insert(resource)
        resource
      end

      # Runs a block whose resources are declared and looked for in another run context.
      def with_run_context(which)
        before = @run_context
        @run_context =
          case which
          when :root then before.root_run_context
          when :parent then before.parent_run_context
          else raise Standin::Unknown.new("run context", which)
          end
        yield
      ensure
        @run_context = before
      end

      def find_resource!(type, name)
        run_context.resource_collection.find("#{type}[#{name}]")
      end

      # Returns the resource, declaring it by the block when there is none; nil when there is no block either.
      def find_resource(type, name, created_at: nil, &block)
        find_resource!(type, name)
      rescue Exceptions::ResourceNotFound
        block && declare_resource(type, name, created_at: created_at || caller(1..1).first, &block)
      end

      def resources(key)
        run_context.resource_collection.find(key)
      end

      def include_recipe(*names)
        names.flatten.each { |name| run_context.include_recipe(name.start_with?("::") ? "#{cookbook_name}#{name}" : name) }
      end

      def method_missing(name, *arguments, &block)
        if Chef::Resource.known.key?(name) && arguments.size == 1
          declare_resource(name, arguments.first, created_at: caller(1..1).first, &block)
        else
          raise Standin::Unknown.new("resource or helper (#{caller(1..1).first.to_s[/[^\/]+:\d+/]})", name)
        end
      end

      def respond_to_missing?(name, private = false)
        Chef::Resource.known.key?(name) || super
      end
    end
  end

  class Recipe
    include DSL::Recipe

    attr_reader :cookbook_name, :recipe_name, :run_context

    def initialize(cookbook_name, recipe_name, run_context)
      @cookbook_name = cookbook_name
      @recipe_name = recipe_name
      @run_context = run_context
    end

    def node
      run_context.node
    end

    def from_file(path)
      instance_eval(File.read(path), path, 1)
    end
  end
end
