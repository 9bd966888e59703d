# Resources that a cookbook defines in resources/*.rb. Source: docs.chef.io/custom_resources; lib/chef/provider.rb and
# lib/chef/resource.rb of Chef 17 for the order in which an action's own resources converge.

require_relative "resource"
require_relative "provider"

class Chef
  class CustomResource < Resource
    # What a custom resource's actions run in: a run context of their own, converged before the action ends.
    class Actions < Provider
      attr_reader :action

      def self.action(name, &block)
        define_method("compile_action_#{name}", &block) # a method, so that the block may return
        define_method("action_#{name}") { compile_and_converge { public_send("compile_action_#{name}") } }
      end

      private

      # Whatever became of it, the outer resource counts as updated when one of the inner ones was. What was put off is done
      # only if all was declared without an error.
      def compile_and_converge
        outer = run_context
        @run_context = outer.create_child
        @run_context.resource_collection.unified_mode = true
        runner = Runner.new(@run_context)
        yield
        runner.converge
      ensure
        new_resource.updated_by_last_action(true) if run_context.resource_collection.any?(&:updated?)
        @run_context = outer
      end
    end

    class << self
      # Defines the resource that a file of a cookbook describes.
      def load(cookbook, path)
        base = ::File.basename(path, ".rb")
        kind = Class.new(self)
        kind.const_set(:Provider, Class.new(Actions))
        kind.class_eval(::File.read(path), path, 1)
        raise Standin::Unknown.new("custom resource without", "unified_mode true") unless kind.unified_mode

        kind.provides((base == "default" ? cookbook : "#{cookbook}_#{base}").to_sym) unless kind.method_defined?(:resource_name)
      end

      def unified_mode(value = nil)
        value.nil? ? @unified_mode : @unified_mode = value
      end

      # Words for people alone.
      def description(*); end

      # The first action is the default one until another is named. Its `description:` is newer than what the cookbook's
      # metadata asks for: https://github.com/chef/chef/pull/10986.
      def action(name, &block)
        allowed_actions(*(allowed_actions.to_a - [:nothing]), name)
        default_action(name) unless default_action
        self::Provider.action(name, &block)
      end

      def action_class(&block)
        self::Provider.class_eval(&block)
      end

      def lazy(&block)
        DelayedEvaluator.new(&block)
      end

      def method_missing(name, *)
        raise Standin::Unknown.new("word of a custom resource", name)
      end

      def respond_to_missing?(*)
        false
      end
    end
  end
end
