# The run's cookbooks: which versions the server's solver gives, their files fetched and checked, their load order.

require "digest"
require "fileutils"
require_relative "config"

class Chef
  # One cookbook as the server describes it, its files below `root`.
  class CookbookVersion
    SEGMENTS = %w{attributes definitions files libraries providers recipes resources root_files templates}.freeze
    Metadata = Struct.new(:name, :version, :dependencies)

    attr_reader :name, :version, :manifest, :root, :metadata

    def initialize(name, description, root)
      @name = name
      @root = root
      @version = description["version"]
      about = description["metadata"] || {}
      @metadata = Metadata.new(name, @version, about["dependencies"] || {})
      @manifest = SEGMENTS.flat_map { |segment| description[segment] || [] }
      check_chef_version(about["chef_versions"])
    end

    # Returns the paths of a segment's files, sorted; only those the cookbook names.
    def files(segment)
      manifest.map { |file| file["path"] }.select { |path| path.start_with?("#{segment}/") }.sort.map { |path| File.join(root, path) }
    end

    def recipe_file(recipe)
      files("recipes").find { |path| File.basename(path) == "#{recipe}.rb" } ||
        raise(Exceptions::RecipeNotFound, "could not find recipe #{recipe} for cookbook #{name}")
    end

    # Returns where a file to ship stands on this machine, as cookbook_file asks for it.
    def preferred_filename_on_disk_location(_node, segment, source)
      raise Standin::Unknown.new("segment of files to ship", segment) unless segment == :files

      shipped_file(source)
    end

    # Returns the path of a file to ship: files/NAME or files/default/NAME.
    def shipped_file(source)
      ["files/#{source}", "files/default/#{source}"].map { |path| File.join(root, path) }.find { |path| files("files").include?(path) } ||
        raise(Exceptions::FileNotFound, "Cookbook '#{name}' (#{version}) does not contain a file at files/#{source} or files/default/#{source}")
    end

    private

    # A cookbook's `chef_version` constraints are alternatives, each a list that must hold at once.
    def check_chef_version(alternatives)
      return if Array(alternatives).empty?

      here = Gem::Version.new(VERSION)
      return if alternatives.any? { |all| Gem::Requirement.new(*Array(all)).satisfied_by?(here) }

      raise Exceptions::ConfigurationError, "cookbook #{name} wants chef_version #{alternatives.inspect}; this is #{VERSION}"
    end
  end

  class Cookbooks
    # Asks the server's solver for the cookbooks of a run list's items in an environment.
    def initialize(server, environment, items)
      @server = server
      @root = File.join(Config[:file_cache_path], "cookbooks")
      answer = server.post("environments/#{environment}/cookbook_versions", { "run_list" => RunList.cookbooks(items) })
      @found = answer.to_h { |name, description| [name, CookbookVersion.new(name, description, File.join(@root, name))] }
      @wanted = RunList.expand(items).map { |name| name.split("::").first }.uniq
    end

    def [](name)
      @found[name.to_s] || raise(Exceptions::CookbookNotFound, "Cookbook #{name} not found.")
    end

    def key?(name)
      @found.key?(name.to_s)
    end

    def each_value(&block)
      @found.each_value(&block)
    end

    # Fetches what the cache does not have with the right checksum; removes what no cookbook names, unless `keep`.
    def sync(keep:)
      wanted = @found.each_value.flat_map do |cookbook|
        cookbook.manifest.map { |file| fetch(cookbook, file) }
      end
      return if keep

      (Dir.glob("#{@root}/**/*", File::FNM_DOTMATCH).select { |path| File.file?(path) } - wanted).each { |path| File.delete(path) }
    end

    # Returns the cookbooks in the order to load them: those of the run list, each after what it depends on.
    def in_order
      order = []
      visit = lambda do |name|
        next if order.include?(name) || !key?(name)

        self[name].metadata.dependencies.each_key(&visit)
        order << name
      end
      @wanted.each(&visit)
      order.uniq.map { |name| self[name] }
    end

    private

    def fetch(cookbook, file)
      path = File.expand_path(file["path"], cookbook.root)
      raise Exceptions::ChecksumMismatch, "#{file["path"]} leaves its cookbook" unless path.start_with?("#{cookbook.root}/")
      return path if File.file?(path) && Digest::MD5.file(path).hexdigest == file["checksum"]

      bytes = @server.download(file["url"])
      unless Digest::MD5.hexdigest(bytes) == file["checksum"]
        raise Exceptions::ChecksumMismatch, "#{cookbook.name}/#{file["path"]} came with another checksum than the server's #{file["checksum"]}"
      end
      FileUtils.mkdir_p(File.dirname(path))
      File.binwrite(path, bytes)
      path
    end
  end
end
