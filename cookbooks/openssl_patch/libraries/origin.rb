module OpensslPatch
  # Who built a package, and for which release, as far as its version says: rendered from what Styptic itself knows of it.
  module Origin
    # What builders outside the distribution write into a version.
    OUTSIDE = Regexp.new('[~+.](?:bpo\\d|ppa|deb\\.sury|dotdeb)|[.~+_](?:remi|ius|codeit|cf)(?![a-z0-9])').freeze
    # The number that a rebuild puts before the tag.
    REBUILT = Regexp.new('\\.0\\.\\d+(?=\\.el\\d)').freeze
    # The release that a version names.
    TAGS = {
      'debian' => Regexp.new('[+~]deb(\\d+)u\\d'),
      'ubuntu' => Regexp.new('~(\\d\\d\\.\\d\\d)\\.\\d'),
      'rhel' => Regexp.new('\\.el(\\d+)'),
      'fedora' => Regexp.new('\\.fc(\\d+)'),
      'amazon' => Regexp.new('\\.amzn(\\d+)'),
    }.freeze
    # What carries OpenSSL's tool or library, on whatever release.
    OPENSSL = Regexp.new('\\A(?:openssl(?:-?\\d[\\w.]*)?(?:-libs)?|compat-openssl\\d\\w*|lib(?:ssl|crypto)\\d[\\w.]*|libopenssl\\d+(?:_\\d+)*)\\z').freeze
    # ohai's platforms to the distributions whose rows speak of them.
    DISTROS = { 'almalinux' => 'rhel', 'amazon' => 'amazon', 'centos' => 'rhel', 'debian' => 'debian', 'fedora' => 'fedora', 'opensuse' => 'opensuse', 'opensuseleap' => 'opensuse', 'oracle' => 'rhel', 'redhat' => 'rhel', 'rocky' => 'rhel', 'scientific' => 'rhel', 'ubuntu' => 'ubuntu' }.freeze
    # Builds with fixes of their own, numbered beside the plain ones.
    FLAVOURS = { 'fips' => /fips/i, 'ksplice' => /ksplice/i, 'esm' => /[+~]esm\d/ }.freeze

    # Returns what a version says it is of: fips, ksplice, esm; nil where it says none.
    def self.flavour(version)
      FLAVOURS.keys.find { |name| FLAVOURS[name].match?(version) }
    end

    # True if no row of the distribution speaks of a package of this version.
    def self.stranger?(distro, version)
      return true if OUTSIDE.match?(version)

      case distro
      when 'debian' then version.include?('ubuntu')
      when 'ubuntu' then TAGS['debian'].match?(version)
      else TAGS.key?(distro) && !TAGS[distro].match?(version)
      end
    end

    # Returns the version of which this one is a rebuild, itself where it is none, to be held against a row's version.
    def self.base(version, row)
      REBUILT.match?(row) ? version : version.gsub(REBUILT, '')
    end

    # True if the row's version says that Ubuntu built it and this one does not.
    def self.foreign?(version, row)
      row.include?('ubuntu') && !version.include?('ubuntu')
    end

    # Returns the release in the rows' words: Debian's and RHEL's is a number, Amazon's 1 until 2018, others' two numbers.
    def self.release(distro, platform_version)
      major = platform_version[/\A\d+/]
      return 'sid' if platform_version.end_with?('/sid')
      return platform_version[/\A\d+\.\d+/] if %w(ubuntu opensuse).include?(distro)

      distro == 'amazon' && (2010..2018).cover?(major.to_i) ? '1' : major
    end

    # Returns the release a package was built for: the one that its version names, else the node's.
    def self.home(distro, release, version)
      TAGS.key?(distro) && version.scan(TAGS[distro]).flatten.last || release
    end

    # Returns the minor release of RHEL that an rpm was built for, 9.4 for .el9_4; nil where it names none.
    def self.minor(version)
      version[/\.el(\d+_\d+)/, 1]&.tr('_', '.')
    end
  end
end
