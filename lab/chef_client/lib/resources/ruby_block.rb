# ruby_block: runs a block of Ruby. Source: docs.chef.io/resources/ruby_block.

class Chef
  class Resource
    class RubyBlock < Resource
      provides :ruby_block
      property :block_name, String, from_name: true
      allowed_actions :run, :create
      default_action :run

      def block(&block)
        block ? @block = block : @block
      end

      class Provider < Chef::Provider
        def action_run
          converge_by("execute the ruby block #{new_resource.name}") { new_resource.block.call }
        end
        alias action_create action_run
      end
    end
  end
end
