# package on the Red Hat families: dnf, or yum where Chef takes that. Sources: docs.chef.io/resources/yum_package and
# /dnf_package; lib/chef/provider/package/dnf.rb and its dnf_helper.py of Chef 18; DNF's API,
# https://dnf.readthedocs.io/en/latest/api.html; rpm(8).

require_relative "package"

class Chef
  class Resource
    class YumPackage < Package
      # Chef's helper keeps what it read of the repositories; here each question is asked anew, so there is nothing to flush.
      property :flush_cache, [Hash, Array], default: { before: false, after: false },
               coerce: ->(given) { given.is_a?(Array) ? given.to_h { |one| [one, true] } : given }

      class Provider < Package::Provider
        # Asks dnf's own Python, as Chef does, which heeds what is version-locked or excluded: the words are options, then
        # names. Of the options Chef's helper hears of those about repositories and of no other. Prints a line for each
        # name: itself, the installed and the newest version on offer, `-` where there is none.
        ASK = <<~PYTHON.freeze
          import sys
          import dnf
          import dnf.subject
          import hawkey
          base = dnf.Base()
          base.conf.read()
          base.conf.substitutions.update_from_etc("/")
          base.init_plugins()
          base.pre_configure_plugins()
          base.read_all_repos()
          for word in sys.argv[1:]:
              option, _, repositories = word.partition("=")
              for repository in repositories.split(",") if option in ("--enablerepo", "--disablerepo") else ():
                  for found in base.repos.get_matching(repository):
                      found.enable() if option == "--enablerepo" else found.disable()
          base.configure_plugins()
          base.fill_sack(load_system_repo=True)
          def latest(query):
              native = query.filter(arch=["noarch", hawkey.detect_arch()])
              for package in (native or query).latest(1):
                  return f"{package.name}-{package.epoch}:{package.version}-{package.release}.{package.arch}"
              return "-"
          for name in sys.argv[1:]:
              if not name.startswith("-"):
                  query = dnf.subject.Subject(name).get_best_query(base.sack, with_provides=False)
                  print(name, latest(query.installed()), latest(query.available()))
        PYTHON

        private

        def versions(names)
          said = shell_out!("python3", "-c", ASK, options, names).stdout.lines.map(&:split)
          said.to_h { |name, *both| [name, both.map { |version| version unless version == "-" }] }
        end

        def older?(one, other)
          one, other = [one, other].map { |full| full[/\d+:[\w.+~^]+-[\w.+~^]+(?=\.\w+\z)/] }
          shell_out!("rpm", "--eval", "%{lua:print(rpm.vercmp('#{one}', '#{other}'))}").stdout.to_i.negative?
        end

        def bring(targets)
          return shell_out!("dnf", options, "-y", "install", targets.values) if dnf?

          verbs = targets.map { |name, version| (here = @versions[name].first) && older?(version, here) ? "downgrade" : "install" }.uniq
          raise Exceptions::Package, "Multipackage rule has a mix of upgrade and downgrade packages. Cannot proceed." if verbs.size > 1

          shell_out!("yum", options, "-y", verbs.first, targets.values)
        end

        # True where Chef takes dnf_package: the rhel family from 8 on, Fedora from 22 on, Amazon Linux where dnf is there.
        def dnf?
          major = node["platform_version"].to_i
          { "rhel" => major >= 8, "fedora" => major >= 22 }.fetch(node["platform_family"]) { ::File.exist?("/usr/bin/dnf") }
        end
      end
    end
  end
end
