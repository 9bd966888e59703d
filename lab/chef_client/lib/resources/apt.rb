# package and apt_update on the debian family. Sources: docs.chef.io/resources/apt_package and /apt_update,
# apt-cache(8), apt-get(8), dpkg(1).

require_relative "package"

class Chef
  class Resource
    class AptPackage < Package
      class Provider < Package::Provider
        ENVIRONMENT = { "DEBIAN_FRONTEND" => "noninteractive" }.freeze
        KEEP_SETTINGS = %w{-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold}.freeze

        private

        def versions(names)
          names.to_h { |name| [name, policy(name)] }
        end

        def policy(name)
          said = shell_out!("apt-cache", "policy", name, env: ENVIRONMENT).stdout
          [said[/^ {2}Installed: (.+)$/, 1], said[/^ {2}Candidate: (.+)$/, 1]].map { |version| version == "(none)" ? nil : version }
        end

        def older?(one, other)
          !shell_out("dpkg", "--compare-versions", one, "lt", other).error?
        end

        def bring(targets)
          settings = options.any? { |option| option.include?("--force-conf") } ? [] : KEEP_SETTINGS
          downgrades = new_resource.allow_downgrade ? ["--allow-downgrades"] : []
          shell_out!("apt-get", "-q", "-y", downgrades, settings, options, "install",
                     targets.map { |name, version| "#{name}=#{version}" }, env: ENVIRONMENT)
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
            shell_out!("apt-get", "-q", "update", env: AptPackage::Provider::ENVIRONMENT)
            FileUtils.mkdir_p(::File.dirname(STAMP))
            FileUtils.touch(STAMP)
          end
        end
      end
    end
  end
end
