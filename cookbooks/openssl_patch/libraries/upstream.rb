module OpensslPatch
  # What the library's own releases say, by an advisory's ranges.
  module Upstream
    # Where a branch's fix came between two of its betas or snapshots no range says.
    RELEASED = /\A\d{1,4}\.\d{1,4}\.\d{1,4}[a-z]{0,2}\z/.freeze
    # Another library's, where it is numbers alone: how it counts what it adds to them nobody knows here.
    NUMBERED = /\A\d{1,4}(\.\d{1,4}){1,3}\z/.freeze

    # True if upstream's own version is known to be without the fault: it has its branch's fix, or lies outside of all that
    # has the fault. Of a branch that no range names nothing is known. An advisory without ranges knows of no release with
    # the fault but those its rows name.
    def self.clean?(said, ours)
      return true unless said['upstream']
      return false if !known?(said, ours) || affected?(said, ours)

      mended?(said, ours) || outside?(said, ours)
    end

    def self.affected?(said, ours)
      ranges(said, 'affected').any? { |first, last| !before?(ours.upstream, first) && !before?(last, ours.upstream) } ||
        ranges(said, 'before').any? { |first, clean| !before?(ours.upstream, first) && before?(ours.upstream, clean) }
    end

    # True if it is at or above the first release of its branch that has the fix.
    def self.mended?(said, ours)
      ranges(said, 'fixed').any? { |first, branch| ours.upstream.match?(/\A#{Regexp.escape(branch)}(?!\d)/) && !before?(ours.upstream, first) }
    end

    # True if it is newer than all that has the fault, or older.
    def self.outside?(said, ours)
      return false unless said['upstream'] && known?(said, ours)

      older?(said, ours) || (ranges(said, 'affected').all? { |_, last| before?(last, ours.upstream) } &&
        ranges(said, 'before').all? { |_, clean| !before?(ours.upstream, clean) })
    end

    # True where a source says which release brought the fault, and this one is older.
    def self.older?(said, ours)
      since = (said['upstream'] || {})['since']
      !since.nil? && known?(said, ours) && before?(ours.upstream, since)
    end

    # True if this version, and whatever the advisory names, is of a kind that can be compared.
    def self.known?(said, ours)
      return RELEASED.match?(ours.upstream) unless said['packages']

      bounds = (ranges(said, 'affected') + ranges(said, 'before') + ranges(said, 'fixed').map(&:first)).flatten - ['0']
      [ours.upstream, *bounds, *said['upstream']['since']].all? { |release| NUMBERED.match?(release) }
    end

    def self.ranges(said, key)
      said['upstream'][key].to_a
    end

    # `0` stands before every release.
    def self.before?(one, other)
      one != other && other != '0' && (one == '0' || Versions.released_before?(one, other))
    end
  end
end
