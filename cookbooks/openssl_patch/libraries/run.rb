require 'fileutils'
require 'json'
require 'mixlib/shellout'
require 'time'

module OpensslPatch
  # One converge: what was stale, what was done about it, and the record of both.
  class Run
    RESULT = "#{STATE}/result.json".freeze

    attr_reader :stale_before

    # services is what Services.present returned, packages the names of the installed packages.
    def initialize(run_context, services, packages)
      @run_context = run_context
      @settings = run_context.node['openssl_patch']
      @services = services
      @packages = packages
      @packages_before = Packages.versions(packages)
      @started = Time.now.utc
      @stale_before = []
      @stale_after = []
      @reloaded = []
      @restarted = []
      @reexecuted = false
      @failures = []
    end

    # Returns what is stale now, before anything is refreshed.
    def look
      @stale_before = @stale_after = stale
    end

    # Hears of every resource that changed something, and keeps what was done to services.
    def acted(resource, action)
      return unless resource.resource_name == :service

      { reload: @reloaded, restart: @restarted }.fetch(action, []).push(resource.service_name).uniq!
    end

    # Refreshes what is stale, the gentlest way first, and looks again after each. What the data does not name is left
    # alone. Raises, after all the others had their turn, when a service could not be refreshed.
    def refresh
      remaining = settled
      each_service(remaining) { |name, row| act(name, :reload) if row['reload_is_enough'] && !@reloaded.include?(name) }
      remaining = settled
      each_service(remaining) { |name, row| restart(name, row) if row['restart'] }
      refresh_init(settled)
      @stale_after = settled
      raise "openssl_patch: #{@failures.join('; ')}" unless @failures.empty?
    end

    # Says in words which process is stale.
    def described(process)
      "PID #{process['pid']} (#{process['service'].empty? ? process['command'] : process['service']}) runs the deleted #{process['library']}"
    end

    # Leaves the result for `invoke patch` (an override run saves no node) and on the node object.
    def record(error = nil)
      return if Chef::Config[:why_run]

      result = summary(error)
      @run_context.node.normal['openssl_patch']['last_run'] = result
      FileUtils.mkdir_p(STATE, mode: 0o700)
      beside = "#{RESULT}.#{Process.pid}"
      ::File.open(beside, ::File::WRONLY | ::File::CREAT | ::File::TRUNC, 0o600) { |file| file.write(JSON.pretty_generate(result)) }
      ::File.rename(beside, RESULT)
    end

    private

    def stale
      Probe.stale(@settings['libraries'])
    end

    # Returns what stays stale once the old processes of what was refreshed, by what is known to be enough, had time to go.
    def settled
      limit = Time.now + @settings['settle_seconds']
      enough = @restarted + @reloaded.select { |name| @services.key?(name) && @services[name]['reload_is_enough'] }
      loop do
        found = stale
        return found if Time.now > limit || (found.map { |process| process['service'] } & enough).empty?

        sleep 0.2
      end
    end

    # Yields each service that is stale and in the data, once: the name it has here, and its row.
    def each_service(processes)
      names = processes.map { |process| process['service'].sub(/@.*/, '') }.uniq
      names.each { |name| yield name, @services[name] if @services.key?(name) }
    end

    def restart(name, row)
      test = row['test'].empty? ? nil : Mixlib::ShellOut.new(*row['test'], environment: { 'LC_ALL' => 'C' }).run_command
      if test && test.error?
        said = (test.stderr + test.stdout).lines.map(&:strip).reject(&:empty?).first(3).join(' / ')
        @failures << "#{name} is left running with the old library, because its configuration test failed: #{said}"
      else
        act(name, :restart)
      end
    end

    def refresh_init(processes)
      init = processes.select { |process| process['kind'] == 'init' }
      return if init.empty? || !Services.systemd?

      if init.any? { |process| process['pid'] == '1' }
        Mixlib::ShellOut.new('systemctl', 'daemon-reexec').run_command.error!
        @reexecuted = true
      end
      (Services.journal_and_login & init.map { |process| process['service'] }).each { |name| act(name, :restart) }
    end

    def act(name, action)
      @run_context.resource_collection.find("service[#{name}]").run_action(action)
    rescue Mixlib::ShellOut::ShellCommandFailed, Mixlib::ShellOut::CommandTimeout => e
      @failures << "#{action} of #{name} failed: #{e.message.lines.map(&:strip).reject(&:empty?).first(4).join(' / ')}"
    end

    # What a person needs first, the services that could not be refreshed, then the run's own words.
    def said(error)
      [*@failures, *error.message.lines.map(&:strip).reject(&:empty?).first(6)].join(' / ')[0, 2000]
    end

    def summary(error)
      {
        'format' => 1,
        'status' => error ? 'failure' : 'success',
        'error' => error && said(error),
        'cookbook_version' => @run_context.cookbook_collection['openssl_patch'].version,
        'advisories' => @settings['advisories'].to_a,
        'started' => @started.iso8601,
        'finished' => Time.now.utc.iso8601,
        'packages_before' => @packages_before,
        'packages_after' => Packages.versions(@packages),
        'stale_before' => @stale_before,
        'stale_after' => @stale_after,
        'reloaded' => @reloaded,
        'restarted' => @restarted,
        'reexecuted' => @reexecuted,
        'not_touched' => @stale_after.map { |process| { 'service' => process['service'], 'command' => Services.command(process) } }.uniq,
      }
    end
  end
end
