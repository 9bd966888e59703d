# The command line: chef-client's flags that a run over SSH and a daemon use, and its exit codes.

require "optparse"
$stdout.sync = true
require_relative "config"
require_relative "daemon"

class Chef
  module Application
    OK = 0
    FAILURE = 1
    INTERRUPTED = 2
    TERMINATED = 3
    CONFIGURATION = 43 # Chef RFC 062, "Exit Status"

    # Runs chef-client once, or again and again where it is to stay. Returns the exit code.
    def self.run(arguments)
      puts Standin::BANNER
      settings = parse(arguments)
      return OK if settings.nil?

      trap("INT") { exit! INTERRUPTED }
      trap("TERM") { exit! TERMINATED }
      daemon = Daemon.new(settings)
      Chef.configure(settings.delete(:config_file), settings)
      return converge(settings) unless daemon.wanted?

      daemon.go { converge(settings) }
      OK
    rescue OptionParser::ParseError => error
      fatal(error, FAILURE)
    rescue Exceptions::ConfigurationError => error
      fatal(error, CONFIGURATION)
    end

    # One run. Returns its exit code.
    def self.converge(settings)
      require_relative "client"
      Client.new(runlist: settings[:runlist], override_runlist: settings[:override_runlist]).run
      OK
    rescue Exceptions::ConfigurationError => error
      fatal(error, CONFIGURATION)
    rescue StandardError, ScriptError => error
      fatal(error, FAILURE)
    end

    # Returns the settings given as flags, nil when there is nothing to run. Raises OptionParser::ParseError.
    def self.parse(arguments)
      settings = { config_file: "/etc/chef/client.rb" }
      asked = nil
      parser = OptionParser.new do |on|
        on.banner = "Usage: chef-client (options)"
        on.on("-c", "--config CONFIG") { |path| settings[:config_file] = path }
        on.on("-z", "--local-mode") { settings[:local_mode] = true }
        on.on("-o", "--override-runlist ITEMS") { |items| settings[:override_runlist] = items.split(",").map(&:strip) }
        on.on("-r", "--runlist ITEMS") { |items| settings[:runlist] = items.split(",").map(&:strip) }
        on.on("-W", "--why-run") { settings[:why_run] = true }
        on.on("-E", "--environment NAME") { |name| settings[:environment] = name }
        on.on("-l", "--log_level LEVEL") { |level| settings[:log_level] = level.to_sym }
        on.on("-L", "--logfile PATH") { |path| settings[:log_location] = path }
        on.on("--run-lock-timeout SECONDS") { |seconds| settings[:run_lock_timeout] = seconds.to_i }
        on.on("-d", "--daemonize") { settings[:daemonize] = true }
        on.on("-i", "--interval SECONDS") { |seconds| settings[:interval] = seconds.to_i }
        on.on("-s", "--splay SECONDS") { |seconds| settings[:splay] = seconds.to_i }
        on.on("-P", "--pid PATH") { |path| settings[:pid_file] = path }
        on.on("--once") { settings[:once] = true }
        on.on("--[no-]fork") {}
        on.on("--[no-]color") {}
        on.on("-v", "--version") { asked = "Chef Infra Client: #{VERSION}" }
        on.on("-h", "--help") { asked = on.help }
      end
      left = parser.parse(arguments)
      raise OptionParser::InvalidArgument, left.join(" ") unless left.empty?

      puts asked if asked
      asked ? nil : settings
    end

    def self.fatal(error, code)
      line = "FATAL: #{error.class}: #{error.message}"
      Log.level == :debug || Log.level == :trace ? Log.fatal("#{line}\n#{Array(error.backtrace).join("\n")}") : Log.fatal(line.delete_prefix("FATAL: "))
      code
    end
  end
end
