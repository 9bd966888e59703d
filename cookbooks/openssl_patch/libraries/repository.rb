module OpensslPatch
  # What the package repositories offer, and whether they can be reached. Asked only where the answer is needed, and told in
  # few words: a repository is somebody else's.
  module Repository
    SHOWN = 4
    # What --releasever may be given.
    RELEASE = /\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z/.freeze
    # So that a mirror that is down costs seconds: apt.conf(5), apt-transport-http(1).
    IMPATIENT = %w(-o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20).freeze
    # All that there is, whoever holds what.
    ALL = %w(--disableplugin=versionlock --disableexcludes=all).freeze

    # Returns `dnf` or `yum`, whichever this node has.
    def self.tool
      @tool ||= %w(dnf yum).find { |name| Command::SBIN.split(':').any? { |place| ::File.executable?("#{place}/#{name}") } } || 'yum'
    end

    # Has Chef's package resource hear of what the mirrors have now: what yum and dnf keep may be two days old (dnf.conf(5),
    # metadata_expire), and Chef's flush_cache forgets only what Chef's own helper remembers. yum asks anew once its lists
    # are expired, whoever calls it; dnf's library, which that helper asks, does not: there the program has to.
    def self.refresh
      expire
      said('dnf', '-q', 'makecache') if !Packages.dpkg? && tool == 'dnf'
    end

    # Has the programs yum and dnf ask their mirrors again.
    def self.expire
      said(tool, '-q', 'clean', 'expire-cache') unless Packages.dpkg?
    end

    # Returns a few of the versions that the repositories have of a package, each `VERSION from WHERE`, the newest last.
    def self.offers(package)
      offered(package).last(SHOWN).map { |version, where| printable("#{version} from #{where}", 160) }
    end

    # Returns version and repository for each that the repositories have of a package.
    def self.offered(package)
      (Packages.dpkg? ? policy(package) : listed(package)).uniq
    end

    # Returns the version of a package that an upgrade would go to, nil where there is none.
    def self.candidate(package)
      return offered(package).map(&:first).last unless Packages.dpkg?

      said('apt-cache', 'policy', package.full).map { |line| line[/\A  Candidate: (\S+)/, 1] }.compact.first
    end

    # True if all that the repositories have of a package is older: yum and dnf would go back to it. apt would only where
    # somebody pinned it, apt_preferences(5).
    def self.behind?(package)
      return false if Packages.dpkg? || (offer = candidate(package)).nil?

      [offer, package.version].all? { |version| Versions.parsed(version) } && Versions.below?(offer, package.version)
    end

    # Returns in words what could not be fetched of the sources of these packages, a few; empty where all is well.
    def self.unreachable(packages)
      expire
      names = packages.map(&:name).uniq
      lines = Packages.dpkg? ? said('apt-get', '-q', *IMPATIENT, 'update') : said(tool, '-q', 'check-update', *names, errors: true)
      found = lines.grep(Packages.dpkg? ? /\A[WE]: (?:Failed to fetch|The repository) / : /error|fail|cannot|ignoring/i)
      found.map { |line| printable(line.sub(/\A[WE]: /, ''), 200) }.uniq.first(SHOWN)
    end

    # True if the release of Amazon Linux that is named has newer ones of these packages. yum(8), dnf(8): check-update exits
    # 100 where there are some.
    def self.newer?(names, releasever)
      answer = Command.run(tool, '-q', "--releasever=#{releasever}", 'check-update', *names)
      raise "openssl_patch: #{tool} cannot look into releasever #{releasever}: #{printable(Command.words(answer.stderr, 3), 300)}" unless [0, 100].include?(answer.exitstatus)

      answer.exitstatus == 100
    end

    # apt_preferences(5) on what `apt-cache policy` prints: a line a version, and below it where it comes from.
    def self.policy(package)
      version = nil
      said('apt-cache', 'policy', package.full).each_with_object([]) do |line, found|
        if (named = line[/\A (?:\*\*\*|   ) (\S+)/, 1])
          version = named
        elsif version && (where = line[/\A {8,} *-?\d+ (\S.*)/, 1]) && !where.end_with?('/dpkg/status')
          found.unshift([version, where])
        end
      end
    end

    # `list` prints name.arch, version and repository; lines are folded where there is no terminal, so words are counted.
    def self.listed(package)
      available = said(tool, '-q', *ALL, 'list', '--showduplicates', package.full).join(' ')[/^.*?Available Packages\s+(.*)/mi, 1].to_s
      available.split.each_slice(3).select { |name, _, from| from && name.start_with?("#{package.name}.") }.map { |_, version, from| [version, from] }
    end

    # Returns what a program printed, as lines; none where it is not there or takes too long.
    def self.said(*words, errors: false)
      answer = Command.run(*words)
      (errors ? answer.stderr : answer.stdout + answer.stderr).scrub('?').lines.map(&:chomp)
    rescue SystemCallError, Mixlib::ShellOut::CommandTimeout
      []
    end

    # Returns words without what a terminal would act on, and without a password in an address.
    def self.printable(words, length)
      words.gsub(/[^ -~]/, ' ').gsub(%r{//[^/@\s]*@}, '//').squeeze(' ').strip[0, length]
    end
  end
end
