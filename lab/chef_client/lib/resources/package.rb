# package on the debian family: apt. Sources: docs.chef.io/resources/package and /apt_package, apt-cache(8), apt-get(8).

require "shellwords"

class Chef
  class Resource
    class Package < Resource
      provides :package
      property :options, [String, Array], coerce: ->(options) { options.is_a?(String) ? options.shellsplit : options }
      property :timeout, [String, Integer]
      allowed_actions :install, :upgrade
      default_action :install

      def initialize(name, *, **)
        @names = Array(name)
        super
      end

      def package_name(*names)
        names.empty? ? @names : @names = names.flatten
      end

      class Provider < Chef::Provider
        ENVIRONMENT = { "DEBIAN_FRONTEND" => "noninteractive" }.freeze
        KEEP_SETTINGS = %w{-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold}.freeze

        # Installs what is absent.
        def action_install
          converge(@versions.select { |_, (installed, _)| installed.nil? })
        end

        # Installs what is absent and brings to the candidate what is not there: all of it in one transaction.
        def action_upgrade
          converge(@versions.reject { |_, (installed, candidate)| installed == candidate || (installed && candidate.nil?) })
        end

        private

        def load_current
          raise Standin::Unknown.new("package provider for", node["platform"]) unless node["platform_family"] == "debian"

          @versions = new_resource.package_name.to_h { |name| [name, policy(name)] }
          missing = @versions.select { |_, (installed, candidate)| installed.nil? && candidate.nil? }.keys
          return if missing.empty?
          raise Exceptions::Package, "No candidate version available for #{missing.join(", ")}" unless why_run?

          missing.each { |name| @versions[name] = [nil, "of a repository yet to be configured"] }
        end

        # Returns the installed and the candidate version of a package, each nil when there is none.
        def policy(name)
          said = shell_out!("apt-cache", "policy", name, env: ENVIRONMENT).stdout
          [said[/^ {2}Installed: (.+)$/, 1], said[/^ {2}Candidate: (.+)$/, 1]].map { |version| version == "(none)" ? nil : version }
        end

        def converge(targets)
          return if targets.empty?

          changes = targets.map { |name, (installed, candidate)| "#{@action} package #{name} from #{installed || "uninstalled"} to #{candidate}" }
          settings = Array(new_resource.options).any? { |option| option.include?("--force-conf") } ? [] : KEEP_SETTINGS
          converge_by(changes) do
            shell_out!("apt-get", "-q", "-y", "--allow-downgrades", settings, Array(new_resource.options), "install",
                       targets.map { |name, (_, candidate)| "#{name}=#{candidate}" }, env: ENVIRONMENT)
          end
        end
      end
    end

    class AptUpdate < Resource
      provides :apt_update
      property :frequency, Integer, default: 86_400
      allowed_actions :periodic, :update
      default_action :periodic

      class Provider < Chef::Provider
        STAMP = "/var/lib/apt/periodic/update-success-stamp".freeze

        def action_periodic
          fresh = ::File.exist?(STAMP) && ::File.mtime(STAMP) > Time.now - new_resource.frequency
          action_update unless fresh
        end

        def action_update
          converge_by("update the package lists") do
            shell_out!("apt-get", "-q", "update", env: Package::Provider::ENVIRONMENT)
            FileUtils.mkdir_p(::File.dirname(STAMP))
            FileUtils.touch(STAMP)
          end
        end
      end
    end
  end
end
