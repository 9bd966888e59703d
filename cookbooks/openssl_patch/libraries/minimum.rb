module OpensslPatch
  # Is what the node has at or above what its advisories name? The rows are those of attributes/default.rb. What this does not
  # know (FIPS and Ksplice builds, packages from outside the distribution) is unknown: `invoke verify` knows more of it.
  class Minimum
    # Of several answers the earlier kind decides. `newest` is what can be said where no advisory names a version.
    KINDS = %w(vulnerable unknown newest fixed not_affected).freeze
    ROWS = %w(fixed never_fixed not_affected).freeze
    Answer = Struct.new(:package, :kind, :reason)

    # True if these are rows that can be compared with.
    def self.rows?(advisories)
      advisories.values.all? do |said|
        said.is_a?(Hash) && ROWS.all? { |key| said[key].is_a?(Array) } &&
          ROWS.flat_map { |key| said[key] }.all? { |row| row.is_a?(Hash) && row['packages'].is_a?(Array) && row['distro'] && row['release'] } &&
          said['fixed'].all? { |row| [Versions::DPKG, Versions::RPM].any? { |written| written.match?(row['version'].to_s) } }
      end
    end

    # Returns the kind that decides, and the answers that do. Nothing asked is unknown.
    def self.deciding(answers)
      kind = KINDS.find { |each| answers.any? { |answer| answer.kind == each } } || 'unknown'
      [kind, answers.select { |answer| answer.kind == kind }]
    end

    # platform and platform_version are ohai's.
    def initialize(advisories, platform, platform_version)
      @advisories = advisories
      @platform = platform
      @platform_version = platform_version
      @distro = Origin::DISTROS[platform]
      @release = Origin.release(@distro, platform_version)
    end

    # Returns an Answer for each of the packages and each advisory that is about it.
    def answers(packages)
      @advisories.flat_map do |advisory, said|
        packages.select { |package| about?(said, package.name) }.map do |package|
          kind, reason = judged(advisory, said, package)
          Answer.new(package, kind, "#{package.full} #{package.version} #{reason}")
        end
      end
    end

    private

    # Without packages of its own it is about OpenSSL's.
    def about?(said, name)
      said['packages'] ? said['packages'].include?(name) : Origin::OPENSSL.match?(name)
    end

    def judged(advisory, said, package)
      ours = Versions.parsed(package.version)
      return ['unknown', 'is not a version that the package manager writes'] unless ours
      return stranger(advisory, said, ours) if Origin.stranger?(@distro, package.version)
      return ['unknown', "is a FIPS or Ksplice build, which #{advisory} may not speak of"] if %w(fips ksplice).include?(Origin.flavour(package.version))

      by_rows(advisory, said, package, ours)
    rescue RuntimeError, Mixlib::ShellOut::CommandTimeout => e
      ['unknown', "cannot be judged: #{e.message}"]
    end

    # No row speaks of it, and upstream's own version may.
    def stranger(advisory, said, ours)
      return ['not_affected', "is a release that #{advisory} does not affect"] if Upstream.outside?(said, ours)

      ['unknown', "was built outside the distribution, so no row of #{advisory} speaks of it"]
    end

    def by_rows(advisory, said, package, ours)
      fixed = fixed_row(said['fixed'], package)
      never = row(said['never_fixed'], package)
      spared = row(said['not_affected'], package)
      clean = Upstream.clean?(said, ours)
      return ['not_affected', "is not affected by #{advisory}: #{spared['reason']}"] if spared && (fixed.nil? || clean)
      return by_row(advisory, said, package, fixed, clean) if fixed
      return ['vulnerable', "is affected by #{advisory} and never mended: #{never['reason']}"] if never && (never['stream'] != '' || !Origin.flavour(package.version))
      return ['not_affected', "is a release that #{advisory} does not affect"] if Upstream.outside?(said, ours)

      ['unknown', "has no row in #{advisory}"]
    end

    def by_row(advisory, said, package, row, clean)
      base = Origin.base(package.version, row['version'])
      ours = Versions.parsed(package.version)
      bar = "#{row['version']}, #{row['advisory']}"
      return ['unknown', "has a higher epoch than #{bar}, so the two do not compare"] if ours.epoch > Versions.parsed(row['version']).epoch
      return below(advisory, said, package, ours, row) if Versions.below?(base, row['version'])
      return ['unknown', "is above #{bar}, and does not say that Ubuntu built it"] if Origin.foreign?(package.version, row['version']) && !(clean && said['upstream'])
      return ['fixed', "is at or above #{bar}"] if clean || ours.upstream == Versions.parsed(row['version']).upstream

      ['unknown', "is above #{bar}, and #{ours.upstream} itself is not known to be fixed"]
    end

    def below(advisory, said, package, ours, row)
      bar = "#{row['version']}, #{row['advisory']}"
      return ['not_affected', "is older than the fault of #{advisory}"] if Upstream.older?(said, ours)

      built, mended = [package.version, row['version']].map { |version| Origin.minor(version) }
      extended = @platform == 'redhat' && row['stream'] == '' && built && mended && Versions.released_before?(built, mended)
      extended ? ['unknown', "is below #{bar}, and may be of the extended stream of #{built} (EUS)"] : ['vulnerable', "is below #{bar}"]
    end

    # Returns the row that a package is held against: its minor stream's before its release's; a stream that goes on where a
    # release ended counts where that has none, or for what was built for it. Of two the later version counts.
    def fixed_row(rows, package)
      mine = about(rows, package)
      minor = Origin.minor(package.version)
      own, of_release = mine.partition { |row| minor && row['stream'] != '' && row['release'] == minor }
      of_release.select! { |row| row['release'] == home(package) }
      plain, streams = of_release.partition { |row| row['stream'] == '' }
      later = streams.reject { |row| row['stream'].start_with?('fips') }
      chosen = [own, Origin.flavour(package.version) == 'esm' ? later : [], plain, later].find { |found| !found.empty? } || []
      chosen.reduce { |acc, elem| Versions.below?(acc['version'], elem['version']) ? elem : acc }
    end

    def row(rows, package)
      minor = Origin.minor(package.version)
      flavour = Origin.flavour(package.version)
      about(rows, package).find do |row|
        next true if minor && row['stream'] != '' && row['release'] == minor

        covers?(row, package) && (row['stream'] == '' || [flavour, 'els'].include?(row['stream'].split('-').first))
      end
    end

    def about(rows, package)
      rows.select { |row| row['distro'] == @distro && row['packages'].include?(package.name) }
    end

    # A row of minor releases speaks of a node that is one of them, and of nothing that another release left behind.
    def covers?(row, package)
      return false unless row['release'] == home(package)

      row['minors'].nil? || (home(package) == @release && row['minors'].include?(@platform_version[/\A\d+\.\d+/]))
    end

    def home(package)
      Origin.home(@distro, @release, package.version)
    end
  end
end
