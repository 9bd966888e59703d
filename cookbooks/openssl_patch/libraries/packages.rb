module OpensslPatch
  # Which OpenSSL packages this node has, asked of its own package manager: ohai may be told not to collect them.
  module Packages
    # The version formats are those that `invoke patch` compares: dpkg's own, and rpm's as epoch:version-release.
    DPKG = ['dpkg-query', '-W', '-f', '${Package}\t${Version}\t${Status}\n'].freeze
    RPM = ['rpm', '-q', '--qf', '%{NAME}\t%{EPOCH}:%{VERSION}-%{RELEASE}\tis ok installed\n'].freeze

    # True where dpkg is the package manager.
    def self.dpkg?
      ::File.exist?('/var/lib/dpkg/status')
    end

    # Returns those of the names that are installed, sorted.
    def self.installed(names)
      versions(names).keys
    end

    # Returns name to version for those of the names that are installed, sorted by name.
    def self.versions(names)
      return {} if names.empty? # without a name both would list everything

      answer = Command.run(*(dpkg? ? DPKG : RPM), *names)
      # Both exit 1 when one of the names is not installed, and still answer for the others.
      found = answer.stdout.lines.map { |line| line.chomp.split("\t") }
      found.select! { |_, _, status| status.to_s.end_with?(' ok installed') }
      found.map { |name, version, _| [name, version.sub(/\A\(none\):/, '0:')] }.sort.to_h
    end
  end

  # needrestart would restart services on its own in the middle of the transaction: needrestart(1), NEEDRESTART_SUSPEND.
  module Needrestart
    NAME = 'NEEDRESTART_SUSPEND'.freeze

    def self.suspend
      @before = ENV[NAME]
      ENV[NAME] = '1'
    end

    def self.resume
      ENV[NAME] = @before
    end
  end
end
