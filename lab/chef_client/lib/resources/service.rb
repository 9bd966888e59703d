# service under systemd and under sysv init scripts. Source: docs.chef.io/resources/service.

class Chef
  class Resource
    class Service < Resource
      provides :service
      property :service_name, String, from_name: true
      property :pattern, String
      property :supports, [Hash, Array], default: {}, coerce: ->(given) { given.is_a?(Array) ? given.to_h { |one| [one, true] } : given }
      property :init_command, String
      property :start_command, [String, false]
      property :stop_command, [String, false]
      property :status_command, [String, false]
      property :restart_command, [String, false]
      property :reload_command, [String, false]
      property :timeout, Integer, default: 900
      allowed_actions :start, :stop, :restart, :reload
      default_action :nothing

      # Picks the provider that the node's service manager wants, as Chef does by PID 1 and update-rc.d.
      class Provider
        def self.new(resource, run_context)
          kind = ChefUtils.systemd? ? Systemd : Sysv
          kind.new(resource, run_context)
        end
      end

      class Manager < Chef::Provider
        def action_start
          converge_by("start service #{new_resource}") { start } unless @running
        end

        def action_stop
          converge_by("stop service #{new_resource}") { stop } if @running
        end

        def action_restart
          converge_by("restart service #{new_resource}") { restart }
        end

        def action_reload
          converge_by("reload service #{new_resource}") { reload } if @running
        end

        private

        def service
          new_resource.service_name
        end

        def given(command)
          new_resource.public_send("#{command}_command")
        end

        # A given command runs with Chef's own locale, a service manager's with what the client was started with.
        def custom(command)
          shell_out!(given(command))
        end
      end

      class Systemd < Manager
        private

        def load_current
          said = shell_out!("systemctl", "--system", "show", "-p", "UnitFileState", "-p", "ActiveState", service).stdout
          @running = given(:status) ? !shell_out(given(:status)).error? : said.include?("ActiveState=active\n")
        end

        %i{start stop restart reload}.each do |verb|
          define_method(verb) { given(verb) ? custom(verb) : shell_out!("systemctl", "--system", verb.to_s, service, default_env: false) }
        end
      end

      class Sysv < Manager
        private

        def load_current
          @running = running?
          return if ::File.exist?(script) || given(@action) || why_run?

          raise Exceptions::Service, "#{script} does not exist!"
        end

        def script
          new_resource.init_command || "/etc/init.d/#{service}"
        end

        # By the given command, by the script when it is said to know `status`, else by the process table.
        def running?
          return !shell_out(given(:status)).error? if given(:status)
          return !shell_out("#{script} status").error? if new_resource.supports[:status]

          pattern = Regexp.new(new_resource.pattern || service)
          shell_out!("ps -ef").stdout.each_line.any? { |line| pattern.match?(line) }
        end

        def act(verb)
          given(verb) ? custom(verb) : shell_out!("#{script} #{verb}", default_env: false)
        end

        def start
          act(:start)
        end

        def stop
          act(:stop)
        end

        def restart
          return act(:restart) if given(:restart) || new_resource.supports[:restart]

          stop
          sleep 1
          start
        end

        # Without `supports reload: true` Chef's init provider does nothing here, and still says it did.
        def reload
          act(:reload) if given(:reload) || new_resource.supports[:reload]
        end
      end
    end
  end
end
