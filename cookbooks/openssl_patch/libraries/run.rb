require 'fileutils'
require 'json'
require 'time'

module OpensslPatch
  # One converge: what was stale, what was done about it, and the record of both.
  class Run
    RESULT = "#{STATE}/result.json".freeze
    # What the node object holds of each list: a Chef server refuses an object of over 1 MB.
    NAMED = 50

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

    # Returns what the resource of a service is called here, so that no other cookbook's resource is meant.
    def self.resource(name)
      "#{name} (openssl_patch)"
    end

    # Looks before anything is refreshed. Returns what there is to refresh.
    def look
      @stale_before = @stale_after = stale
      Probe.counted(@stale_before)
    end

    # True if a service's own configuration test passes, or it has none: who would not come up again is left running.
    def configured?(name)
      test = @services.fetch(name, {})['test'].to_a
      return true if test.empty?

      answer = Command.run(*test)
      failed(name, "its configuration test failed: #{Command.words(answer.stderr + answer.stdout, 3)}") if answer.error?
      !answer.error?
    rescue SystemCallError, Mixlib::ShellOut::CommandTimeout => e
      failed(name, "its configuration test cannot be run: #{e.message}")
      false
    end

    # Hears of every resource that changed something, and keeps what was done to services.
    def acted(resource, action)
      return unless resource.resource_name == :service

      { reload: @reloaded, restart: @restarted }.fetch(action, []).push(resource.service_name).uniq!
    end

    # Refreshes what is stale, the gentlest way first, and looks again after each. What the data does not name is left
    # alone. Raises, after all the others had their turn, when a service could not be refreshed.
    def refresh
      each_service(settled) { |name, row| act(name, :reload) if row['reload_is_enough'] && !@reloaded.include?(name) }
      each_service(settled) { |name, row| act(name, :restart) if row['restart'] }
      refresh_init(settled)
      settled
      raise "openssl_patch: #{@failures.join('; ')}" unless @failures.empty?
    end

    # Says in words which process is stale.
    def described(process)
      whose = process['service'].empty? ? process['command'] : process['service']
      "PID #{process['pid']} (#{whose}) runs the deleted #{process['library']}"
    end

    # Leaves the result for `invoke patch` (an override run saves no node) and on the node object.
    def record(error = nil)
      return if Chef::Config[:why_run]

      result = summary(error)
      shortened = result.merge(%w(stale_before stale_after not_touched).map { |key| [key, result[key].first(NAMED)] }.to_h)
      @run_context.node.normal['openssl_patch']['last_run'] = shortened
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
      enough = @restarted + @reloaded.select { |name| @services.fetch(name, {})['reload_is_enough'] }
      loop do
        @stale_after = stale
        found = Probe.counted(@stale_after)
        return found if Time.now > limit || (found.map { |process| process['service'] } & enough).empty?

        sleep 0.2
      end
    end

    # Yields each service that is stale and in the data, once: the name it has here, and its row.
    def each_service(processes)
      names = processes.map { |process| process['service'].sub(/@.*/, '') }.uniq
      names.each { |name| yield name, @services[name] if @services.key?(name) }
    end

    def refresh_init(processes)
      init = processes.select { |process| process['kind'] == 'init' }
      return if init.empty? || !Services.systemd?

      if init.any? { |process| process['pid'] == '1' }
        attempt('re-execution of systemd') do
          Command.run('systemctl', 'daemon-reexec').error!
          @reexecuted = true
        end
      end
      (Services.journal_and_login & init.map { |process| process['service'] }).each { |name| act(name, :restart) }
    end

    def act(name, action)
      attempt("#{action} of #{name}") do
        @run_context.resource_collection.find("service[#{Run.resource(name)}]").run_action(action)
      end
    end

    # Whatever goes wrong with one service must not keep the others on the old library.
    def attempt(what)
      yield
    rescue StandardError => e
      @failures << "#{what} failed: #{Command.words(e.message, 4)}"
    end

    def failed(name, why)
      @failures |= ["#{name} is left as it runs, because #{why}"]
    end

    # What a person needs first, the services that could not be refreshed, then the run's own words.
    def said(error)
      [*@failures, Command.words(error.message, 6)].join(' / ')[0, 2000]
    end

    def summary(error)
      {
        'format' => 1,
        'node' => @run_context.node.name,
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
        'not_touched' => not_touched,
      }
    end

    def not_touched
      Probe.counted(@stale_after).map { |process| { 'service' => process['service'], 'command' => Services.command(process) } }.uniq
    end
  end
end
