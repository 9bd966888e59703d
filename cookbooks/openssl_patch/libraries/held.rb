module OpensslPatch
  # Packages that somebody told the package manager to keep as they are. Nothing here lets one go.
  module Held
    YUM = { 'list' => '/etc/yum/pluginconf.d/versionlock.list', 'settings' => '/etc/yum/pluginconf.d/versionlock.conf' }.freeze
    DNF = { 'list' => '/etc/dnf/plugins/versionlock.list', 'settings' => '/etc/dnf/plugins/versionlock.conf' }.freeze
    DNF5 = '/etc/dnf/versionlock.toml'.freeze
    SETTINGS = %w(/etc/yum.conf /etc/dnf/dnf.conf).freeze
    # No list that people keep is longer.
    BYTES = 200_000

    # Returns, for those of the packages that are held, `package`, `by` whom, and the `command` that lets it go.
    def self.among(packages)
      return packages.select(&:held).map { |package| entry(package, 'apt-mark hold', "apt-mark unhold #{package.full}") } if Packages.dpkg?

      (locked(packages) + excluded(packages)).uniq { |found| found['package'] }
    end

    # dnf-versionlock(8), yum-versionlock(1): an entry is a package's name-epoch:version-release or epoch:name-version-release,
    # wildcards allowed; `!` before it forbids that version.
    def self.locked(packages)
      entries = [YUM, DNF].flat_map { |files| lines(list(files)) }.map { |line| line[/\A!?(?:[\d*]+:)?(.+?)-(?=[\d*])/, 1] || line }
      entries += lines(DNF5).map { |line| line[/\Aname\s*=\s*["'](.+)["']\z/, 1] }.compact
      packages.select { |package| named?(entries, package) }.map do |package|
        tool = Repository.tool
        name = tool == 'yum' ? "'*:#{package.name}-*'" : package.name # yum's plugin wants the whole of its entry matched
        entry(package, "#{tool} versionlock", "#{tool} versionlock delete #{name}")
      end
    end

    # yum.conf(5), dnf.conf(5), `exclude` and `excludepkgs`: such a package is left out of every transaction.
    def self.excluded(packages)
      SETTINGS.select { |path| ::File.exist?(path) }.uniq { |path| ::File.realpath(path) }.flat_map do |path|
        patterns = lines(path).map { |line| line[/\A(?:exclude|excludepkgs)\s*=\s*(.+)/, 1] }.compact.flat_map { |value| value.split(/[\s,]+/) }
        packages.select { |package| named?(patterns, package) }.map do |package|
          entry(package, "exclude= in #{path}", "#{Repository.tool} --disableexcludes=all upgrade #{package.full}")
        end
      end
    end

    def self.named?(patterns, package)
      patterns.any? { |pattern| [package.name, package.full].any? { |name| ::File.fnmatch(pattern, name) } }
    end

    def self.list(files)
      lines(files['settings']).map { |line| line[/\Alocklist\s*=\s*(\S+)/, 1] }.compact.last || files['list']
    end

    def self.lines(path)
      ::File.read(path, BYTES).to_s.scrub('?').lines.map(&:strip).reject { |line| line.empty? || line.start_with?('#') }
    rescue SystemCallError
      []
    end

    def self.entry(package, by, command)
      { 'package' => package.full, 'by' => by, 'command' => command }
    end
  end
end
