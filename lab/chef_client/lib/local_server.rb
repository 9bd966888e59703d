# What chef-client --local-mode has in a Chef server's place: cookbooks and nodes in directories. Chef runs chef-zero.

require "digest"
require "fileutils"
require "json"
require_relative "config"

class Chef
  # Answers what the stand-in asks of Chef::Server, from chef_repo_path (Chef's docs, "chef-client --local-mode").
  class LocalServer
    def get(path)
      kind, name = path.split("/", 2)
      case kind
      when "nodes" then File.file?(file(name)) ? JSON.parse(File.read(file(name))) : nil
      when "environments" then { "name" => name } if name == "_default"
      else raise Standin::Unknown.new("object of local mode", path)
      end
    end

    # A new node, or the solver's question: here each cookbook has one version.
    def post(path, body)
      return put("nodes/#{body["name"]}", body) if path == "nodes"
      raise Standin::Unknown.new("request of local mode", path) unless path.end_with?("/cookbook_versions")

      wanted = body["run_list"].map { |item| item.split("@").first }
      wanted.to_h { |name| [name, described(name)] }
    end

    def put(path, body)
      target = file(path.delete_prefix("nodes/"))
      FileUtils.mkdir_p(File.dirname(target))
      File.write(target, JSON.pretty_generate(body))
      body
    end

    # The address of a file of a cookbook is its path.
    def download(url)
      File.binread(url)
    end

    private

    def file(name)
      File.join(Config[:node_path], "#{File.basename(name)}.json")
    end

    # Returns a cookbook as a Chef server's manifest has it. Its metadata has to be compiled.
    def described(name)
      root = Array(Config[:cookbook_path]).map { |path| File.join(path, name) }.find { |path| File.directory?(path) }
      raise Exceptions::CookbookNotFound, "Cookbook #{name} not found in #{Array(Config[:cookbook_path]).join(", ")}" unless root

      metadata = JSON.parse(File.read(File.join(root, "metadata.json")))
      segments = Dir.glob("**/*", base: root).select { |path| File.file?(File.join(root, path)) }.sort.group_by do |path|
        path.include?("/") ? path.split("/").first : "root_files"
      end
      segments.transform_values { |paths| paths.map { |path| record(root, path) } }.merge(
        "version" => metadata.fetch("version"), "metadata" => metadata,
      )
    end

    def record(root, path)
      full = File.join(root, path)
      { "path" => path, "url" => full, "checksum" => Digest::MD5.file(full).hexdigest }
    end
  end
end
