# execute: runs a command. Source: docs.chef.io/resources/execute.

class Chef
  class Resource
    class Execute < Resource
      provides :execute
      property :command, [String, Array], from_name: true
      property :cwd, String
      property :environment, Hash
      property :returns, [Integer, Array], default: 0
      property :timeout, [Integer, Float]
      property :user, String
      property :creates, String
      property :default_env, [true, false], default: false
      allowed_actions :run
      default_action :run

      class Provider < Chef::Provider
        def action_run
          return if new_resource.creates && ::File.exist?(new_resource.creates)

          shown = new_resource.sensitive ? "sensitive resource" : new_resource.command
          converge_by("execute #{Array(shown).join(" ")}") do
            options = { cwd: new_resource.cwd, environment: new_resource.environment, user: new_resource.user }.compact
            shell_out!(*Array(new_resource.command), returns: Array(new_resource.returns), timeout: new_resource.timeout || 3600,
                                                     default_env: new_resource.default_env, **options)
          end
        end
      end
    end
  end
end
