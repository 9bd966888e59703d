module OpensslPatch
  # How two versions of a package stand to each other, told by dpkg or rpm themselves.
  module Versions
    # What dpkg and rpm write, deb-version(7) and rpm-version(7); nothing else is handed to them.
    DPKG = /\A(?:(\d{1,9}):)?(\d[A-Za-z0-9.+~-]{0,199})\z/.freeze
    RPM = /\A(?:(\d{1,9}):)?([A-Za-z0-9._+~^]{1,100})-([A-Za-z0-9._+~^]{1,100})\z/.freeze

    # The epoch, upstream's own version, what the distribution numbers its builds by, and how it writes the second.
    Parsed = Struct.new(:epoch, :upstream, :build, :written)

    # An upload that went back to an older release names it behind this, because its own number may not go back.
    REALLY = /\A.*\+really/.freeze

    # Returns a version's parts; nil for one that the package manager does not write.
    def self.parsed(version)
      found = (Packages.dpkg? ? DPKG : RPM).match(version)
      return unless found

      upstream, build = Packages.dpkg? ? found[2].split(/-(?!.*-)/, 2) : found.captures.last(2)
      Parsed.new(found[1].to_i, upstream.sub(REALLY, ''), build, upstream)
    end

    # True if `one` is older than `other`; both are versions that `parsed` could read. Raises where the package manager
    # does not say.
    def self.below?(one, other)
      return dpkg?(one, other) if Packages.dpkg?

      ours = parsed(one)
      theirs = parsed(other)
      return ours.epoch < theirs.epoch unless ours.epoch == theirs.epoch

      [[ours.written, theirs.written], [ours.build, theirs.build]].map { |pair| rpm(*pair) }.find { |order| order != 0 }.to_i < 0
    end

    # True if one of OpenSSL's own releases (1.0.1f, 0.9.8zh) comes before another; both managers order them as OpenSSL does.
    def self.released_before?(one, other)
      Packages.dpkg? ? dpkg?(one, other) : rpm(one, other) < 0
    end

    # dpkg(1), --compare-versions: it exits 0 for yes and 1 for no. Answers are remembered: many rows name one version.
    def self.dpkg?(one, other)
      @answers ||= {}
      @answers.fetch([one, other]) do |pair|
        answer = Command.run('dpkg', '--compare-versions', one, 'lt', other).exitstatus
        raise "dpkg cannot compare #{one} with #{other}" unless [0, 1].include?(answer)

        @answers[pair] = answer == 0
      end
    end

    # Returns -1, 0 or 1. rpm.vercmp is there since rpm 4.7.0: https://rpm.org/docs/4.19.x/manual/lua.html
    def self.rpm(one, other)
      answer = Command.run('rpm', '--eval', "%{lua:print(rpm.vercmp('#{one}', '#{other}'))}").stdout.strip
      raise "rpm cannot compare #{one} with #{other}" unless %w(-1 0 1).include?(answer)

      answer.to_i
    end
  end
end
