# package: what the package managers' resources have in common. Sources: docs.chef.io/resources/package, and
# lib/chef/provider/package.rb of Chef 18 for which of the packages an action changes.

require "shellwords"

class Chef
  class Resource
    class Package < Resource
      provides :package
      property :options, [String, Array], coerce: ->(options) { options.is_a?(String) ? options.shellsplit : options }
      property :timeout, [String, Integer]
      property :allow_downgrade, [true, false], default: true

      def self.inherited(kind)
        super
        kind.allowed_actions :install, :upgrade
        kind.default_action :install
      end

      # Picks the resource that the node's platform has for packages.
      def self.new(name, run_context, **place)
        return super unless equal?(Package)

        kind = { "debian" => AptPackage, "rhel" => YumPackage, "fedora" => YumPackage, "amazon" => YumPackage }[run_context.node["platform_family"]]
        raise Standin::Unknown.new("package provider for", run_context.node["platform"]) unless kind

        kind.new(name, run_context, **place)
      end

      def initialize(name, *, **)
        @names = Array(name)
        super
      end

      def package_name(*names)
        names.empty? ? @names : @names = names.flatten
      end

      # Its children tell `versions`, name to what is installed and what is the candidate, each nil when there is none;
      # whether one version is `older?` than another; and they `bring` names to versions.
      class Provider < Chef::Provider
        # Installs what is absent.
        def action_install
          converge(@versions.select { |_, (installed, _)| installed.nil? })
        end

        # Installs what is absent and brings to the candidate what is not there: all of it in one transaction.
        def action_upgrade
          converge(@versions.select { |_, (installed, candidate)| installed.nil? || due?(installed, candidate) })
        end

        private

        def load_current
          @versions = versions(new_resource.package_name)
          missing = @versions.select { |_, both| both.none? }.keys
          return if missing.empty?
          raise Exceptions::Package, "No candidate version available for #{missing.join(", ")}" unless why_run?

          missing.each { |name| @versions[name] = [nil, "of a repository yet to be configured"] }
        end

        def due?(installed, candidate)
          return false if candidate.nil? || installed == candidate

          new_resource.allow_downgrade || older?(installed, candidate)
        end

        def options
          Array(new_resource.options)
        end

        def converge(targets)
          return if targets.empty?

          changes = targets.map { |name, (installed, candidate)| "#{@action} package #{name} from #{installed || "uninstalled"} to #{candidate}" }
          converge_by(changes) { bring(targets.transform_values(&:last)) }
        end
      end
    end
  end
end
