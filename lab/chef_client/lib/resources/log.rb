# log: a line in the client's log; it never counts as a change. Source: docs.chef.io/resources/log.

class Chef
  class Resource
    class Log < Resource
      provides :log
      property :message, String, from_name: true
      property :level, Symbol, default: :info
      allowed_actions :write
      default_action :write

      class Provider < Chef::Provider
        def action_write
          Chef::Log.public_send(new_resource.level, new_resource.message)
        end
      end
    end
  end
end
