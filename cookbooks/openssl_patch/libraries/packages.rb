module OpensslPatch
  # One installed package: arch is nil where it is the node's own, held is true where dpkg is told to keep its version.
  Package = Struct.new(:name, :arch, :version, :held) do
    # Returns the name by which apt, yum and dnf mean this package and not its other architectures.
    def full
      [name, arch].compact.join(Packages.dpkg? ? ':' : '.')
    end
  end

  # Which of the packages this node has, asked of its own package manager: ohai may be told not to collect them.
  module Packages
    # The version formats are those that `invoke patch` compares: dpkg's own, and rpm's as epoch:version-release.
    DPKG = ['dpkg-query', '-W', '-f', '${Package}\t${Architecture}\t${Version}\t${Status}\n'].freeze
    RPM = ['rpm', '-q', '--qf', '%{NAME}\t%{ARCH}\t%{EPOCH}:%{VERSION}-%{RELEASE}\tinstalled\n'].freeze
    # dpkg(1), package states: in every other one files of the package are there, also where dpkg was interrupted.
    ABSENT = %w(not-installed config-files).freeze

    # True where dpkg is the package manager.
    def self.dpkg?
      ::File.exist?('/var/lib/dpkg/status')
    end

    # Returns those of the names that are installed, sorted; another architecture's package has a name of its own.
    def self.installed(names)
      versions(names).keys
    end

    # Returns full name to version for those of the names that are installed, sorted by name.
    def self.versions(names)
      found(names).map { |package| [package.full, package.version] }.to_h
    end

    # Returns those of the names that are installed, as Package, of every architecture, sorted. One that is there in two
    # versions, because an rpm transaction broke off, is given twice.
    def self.found(names)
      return [] if names.empty? # without a name both would list everything

      # Both exit 1 when one of the names is not installed, and still answer for the others.
      lines = Command.run(*(dpkg? ? DPKG : RPM), *names).stdout.lines.map { |line| line.chomp.split("\t") }
      lines.select! { |fields| fields.size == 4 && !ABSENT.include?(fields.last.split.last) }
      lines.map { |name, arch, version, status| Package.new(name, foreign(arch), version.sub(/\A\(none\):/, '0:'), status.start_with?('hold ')) }
           .uniq.sort_by { |package| [package.full, package.version] }
    end

    # Returns an architecture unless it is the node's own, or none in particular.
    def self.foreign(arch)
      arch unless [native, 'all', 'noarch'].include?(arch)
    end

    # rpm's own package has the node's architecture, which `rpm --eval %_arch` does not name on all of them.
    def self.native
      @native ||= Command.run(*(dpkg? ? %w(dpkg --print-architecture) : %w(rpm -q --qf %{ARCH}\n rpm))).stdout.lines.first.to_s.chomp
    end
  end
end
