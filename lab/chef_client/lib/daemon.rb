# chef-client that stays: it waits, runs in a child, and waits again, as Chef::Application::Base does with an interval.

require "fileutils"
require_relative "config"

class Chef
  # Sleeps interval and splay before each run, the first one included. SIGUSR1 ends a sleep, SIGTERM ends the daemon once
  # its run has ended, SIGINT ends it at once (chef-client's documentation, "Run as a daemon").
  class Daemon
    INTERVAL = 1800 # Chef's own, where only --daemonize is given

    # settings holds interval, splay, daemonize, pid_file and once as the command line gave them.
    def initialize(settings)
      @interval = settings[:once] ? nil : settings[:interval] || (settings[:daemonize] ? INTERVAL : nil)
      @splay = settings[:splay]
      @background = settings[:daemonize]
      @pid_file = settings[:pid_file] || "/tmp/chef-client.pid"
      @wake, @poke = IO.pipe
      @ending = false
    end

    # True where chef-client is to stay.
    def wanted?
      !@interval.nil?
    end

    # Yields for each run, in a child of its own whose failure ends nothing here. Returns once SIGTERM came.
    def go
      Process.daemon if @background
      trap("USR1") { @poke.write_nonblock("1") }
      trap("TERM") do
        @ending = true
        @poke.write_nonblock("T")
      end
      FileUtils.mkdir_p(File.dirname(@pid_file))
      File.write(@pid_file, "#{Process.pid}\n") # whoever reads it may signal
      until @ending
        sleep_until_due
        run { yield } unless @ending
      end
    ensure
      FileUtils.rm_f(@pid_file)
    end

    private

    def sleep_until_due
      seconds = @interval + (@splay.to_i > 0 ? rand(@splay) : 0)
      @wake.read_nonblock(1) if IO.select([@wake], nil, nil, seconds)
    end

    # A run of its own process: what a cookbook loads does not stay.
    def run
      child = fork do
        %w{USR1 TERM}.each { |signal| trap(signal, "IGNORE") }
        exit!(yield)
      end
      Process.wait(child)
    rescue Errno::EINTR
      retry
    end
  end
end
