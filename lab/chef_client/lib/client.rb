# One run from lock to save, its steps and events in Chef's order.

require "securerandom"
require_relative "automatic"
require_relative "console"
require_relative "cookbooks"
require_relative "events"
require_relative "local_server"
require_relative "node"
require_relative "run_list"
require_relative "run_lock"
require_relative "runner"
require_relative "server"
require_relative "resource"
require_relative "provider"
require_relative "custom_resource"
Dir[File.join(__dir__, "resources", "*.rb")].sort.each { |path| require path }

class Chef
  # What handlers are told of the run.
  RunStatus = Struct.new(:run_id, :start_time, :end_time, :exception, :node, :run_context) do
    def elapsed_time
      end_time - start_time
    end

    def all_resources
      run_context ? run_context.resource_collection.to_a : []
    end

    def updated_resources
      all_resources.select(&:updated?)
    end

    def success?
      exception.nil?
    end

    def failed?
      !success?
    end
  end

  class Client
    # `runlist` is set on the node and saved; `override_runlist` is for this run only, which then saves nothing.
    def initialize(runlist: nil, override_runlist: nil)
      @runlist = runlist
      @override = override_runlist
    end

    # Runs once under the lock. Raises what made the run fail.
    def run
      lock = RunLock.new(Config[:lockfile])
      lock.acquire(Config[:run_lock_timeout])
      @events = Events.new
      @events.register(Console.new)
      @status = RunStatus.new(SecureRandom.uuid, Time.now)
      begin
        @events.fire(:run_start, VERSION, @status)
        steps
        @status.end_time = Time.now
        @events.fire(:run_completed, @node, @status)
      rescue StandardError, ScriptError => error
        @status.end_time = Time.now
        @status.exception = error
        @events.fire(:run_failed, error, @status)
        raise
      ensure
        lock.release
      end
    end

    private

    def steps
      ohai = Automatic.collect
      @events.fire(:ohai_completed, nil)
      name = Config[:node_name] || ohai["fqdn"] || ohai["hostname"]
      @server = Config[:local_mode] ? LocalServer.new : Server.new(Config[:chef_server_url], name, Config[:client_key])
      @node = @status.node = load_node(name)
      build_node(ohai)
      @status.start_time = Time.now
      @events.fire(:run_started, @status)
      context = @status.run_context = Chef.run_context = RunContext.new(@node, @events)
      context.cookbook_collection = fetch_cookbooks
      compile(context)
      converge(context)
      save
    end

    def load_node(name)
      found = @server.get("nodes/#{name}")
      node = Node.from_server(name, found)
      node.chef_environment = Config[:environment] if Config[:environment]
      @server.post("nodes", node.to_h) unless found || Config[:why_run]
      node
    end

    def build_node(ohai)
      @node.attributes.replace(:automatic, ohai)
      @node.run_list.replace(@runlist.map { |item| item.include?("[") ? item : "recipe[#{item}]" }) if @runlist
      @node.override_runlist = @override
      @recipes = RunList.expand(@node.effective_run_list)
      environment = @server.get("environments/#{@node.chef_environment}")
      raise Exceptions::Server, "the environment #{@node.chef_environment} is not on the Chef server" unless environment

      @node.attributes.replace(:env_default, environment["default_attributes"])
      @node.attributes.replace(:env_override, environment["override_attributes"])
      @node.tags
      @node.automatic["recipes"] = @recipes.flat_map { |name| name.end_with?("::default") ? [name.delete_suffix("::default"), name] : [name] }
      @node.automatic["expanded_run_list"] = @recipes
      @node.automatic["roles"] = []
      @events.fire(:node_load_completed, @node, @recipes, Config)
    end

    def fetch_cookbooks
      cookbooks = Cookbooks.new(@server, @node.chef_environment, @node.effective_run_list)
      @events.fire(:cookbook_resolution_complete, cookbooks)
      cookbooks.sync(keep: !@override.nil?)
      @events.fire(:cookbook_sync_complete)
      cookbooks
    end

    def compile(context)
      order = context.cookbook_collection.in_order
      order.each do |cookbook|
        %w{providers definitions}.each do |segment|
          file = cookbook.files(segment).first
          raise Standin::Unknown.new("kind of cookbook file", "#{segment}/#{File.basename(file)}") if file
        end
      end
      order.each { |cookbook| cookbook.files("libraries").each { |path| require path } }
      order.each do |cookbook|
        first, others = cookbook.files("attributes").partition { |path| File.basename(path) == "default.rb" }
        (first + others).each { |path| @node.load_attributes(path) }
      end
      order.each { |cookbook| cookbook.files("resources").each { |path| CustomResource.load(cookbook.name, path) } }
      @recipes.each { |name| context.include_recipe(name) }
      @events.fire(:recipe_load_complete)
    end

    def converge(context)
      @events.fire(:converge_start, context)
      Runner.new(context).converge
      @events.fire(:converge_complete)
    rescue StandardError, ScriptError => error
      @events.fire(:converge_failed, error)
      raise
    end

    def save
      if @override
        Log.warn("Skipping final node save because override_runlist was given")
      elsif Config[:why_run]
        Log.warn("In why-run mode, so NOT performing node save.")
      else
        @server.put("nodes/#{@node.name}", @node.to_h)
      end
    end
  end
end
