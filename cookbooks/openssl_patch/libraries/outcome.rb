module OpensslPatch
  # What the upgrade came to: the verdict on what is installed, who holds which package, and, where a node is not good, why
  # and what to do. Nothing is asked before somebody wants to know, which is after the upgrade.
  class Outcome
    NAMED = 3

    # names are the packages that are to be good, companions those that go with them; minimum and releasever are the
    # resource's. An empty minimum asks for the newest that can be had.
    def initialize(node, names, companions, minimum, releasever)
      @node = node
      @names = names
      @companions = companions
      @minimum = minimum
      @releasever = releasever
    end

    # Returns of several, for the record: the worst `kind`, and the `reasons` that decide.
    def self.verdict(outcomes)
      kind = Minimum::KINDS.find { |each| outcomes.any? { |outcome| outcome.kind == each } } || 'unknown'
      { 'kind' => kind, 'reasons' => outcomes.select { |outcome| outcome.kind == kind }.flat_map(&:reasons).uniq }
    end

    # Returns the full names of what an upgrade may ask for, as it is now: nothing that is held, nor another architecture of
    # that, and no companion where a library is held, because both have one version always.
    def upgradable
      packages = Packages.found(@names)
      companions = Packages.found(@companions)
      kept = Held.among(packages + companions).map { |entry| entry['package'] }
      names = (packages + companions).select { |package| kept.include?(package.full) }.map(&:name)
      free = packages.any? { |package| names.include?(package.name) } ? packages : packages + companions
      free.reject { |package| names.include?(package.name) }.map(&:full).uniq
    end

    # Returns the full names of what is newer here than in all repositories. `allow_downgrade false` would not keep it
    # everywhere: until https://github.com/chef/chef/pull/12291, end of 2021, Chef's dnf_package only warned of it.
    def ahead
      (Packages.found(@names) + Packages.found(@companions)).select { |package| Repository.behind?(package) }.map(&:full)
    end

    # Returns vulnerable, unknown, newest, fixed or not_affected.
    def kind
      decided.first
    end

    # Returns the sentences that decide.
    def reasons
      decided.last.map(&:reason).uniq
    end

    # Returns who holds which of the packages: `package`, `by`, `command`.
    def held
      @held ||= Held.among(packages + Packages.found(@companions))
    end

    # Returns one sentence where the node is not good although everything was tried, nil where it is. What is unknown is
    # wrong only if newer packages may exist: one is held back, or a mirror cannot be reached.
    def error
      @problems ||= problems
      @problems.join('; ') unless @problems.empty?
    end

    # Returns a sentence for each package that somebody holds.
    def holds(of = held)
      of.map { |entry| "#{entry['package']} is held (#{entry['by']}): `#{entry['command']}` lets it go" }
    end

    private

    def packages
      @packages ||= Packages.found(@names)
    end

    def decided
      @decided ||= Minimum.deciding(@minimum.empty? ? Newest.answers(packages) : Minimum.new(@minimum, @node['platform'], @node['platform_version']).answers(packages))
    end

    def problems
      case kind
      when 'vulnerable' then [*holds(blocking), *beyond, "still vulnerable: #{reasons.join('; ')}", *(blocking.empty? ? offers : []), *unfetched]
      when 'unknown', 'newest' then packages.empty? ? [] : holds(waiting) + unfetched
      else []
      end
    end

    # Returns those of the held that keep what is vulnerable as it is.
    def blocking
      names = (decided.last.map(&:package) + Packages.found(@companions)).map(&:full)
      held.select { |entry| names.include?(entry['package']) }
    end

    # Returns those of the held that a repository has a newer version of.
    def waiting
      held.select do |entry|
        package = packages.find { |each| each.full == entry['package'] }
        package && Repository.offered(package).any? { |version, _| Versions.parsed(version) && Versions.below?(package.version, version) }
      end
    end

    # Returns what the repositories have of the packages that are too old.
    def offers
      decided.last.map(&:package).compact.uniq.first(NAMED).map do |package|
        found = Repository.offers(package)
        "for #{package.full} #{found.empty? ? 'no repository offers anything' : "the repositories offer #{found.join(', ')}"}"
      end
    end

    def unfetched
      found = Repository.unreachable(packages)
      found.empty? ? [] : ["package lists could not be fetched: #{found.join(', ')}"]
    end

    # Amazon Linux 2023 and later: https://docs.aws.amazon.com/linux/al2023/ug/deterministic-upgrades.html
    def beyond
      return [] unless @node['platform'] == 'amazon' && @node['platform_version'].to_i > 2018 && @releasever.nil?

      ['Amazon Linux upgrades only within the release it has: `dnf check-release-update` names later ones, and ' \
       "`dnf upgrade --releasever=VERSION #{packages.map(&:full).join(' ')}` or the property releasever goes there"]
    end
  end
end
