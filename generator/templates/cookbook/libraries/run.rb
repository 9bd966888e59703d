require 'fileutils'
require 'json'
require 'time'

module OpensslPatch
  # One converge: what was stale, what was done about it, and the record of both.
  class Run
    RESULT = "#{STATE}/result.json".freeze
    # What the node object holds of each list: a Chef server refuses an object of over 1 MB.
    NAMED = 50
    # What the resource is called that refreshes at the end of the run.
    REFRESH = 'openssl_patch: refresh what is stale'.freeze
    # And the one that fails the run, after that, where the packages are not good.
    VERDICT = 'openssl_patch: packages that are not good'.freeze

    # True once `refresh` has had its turn: what was put off until after it has nothing left to do.
    attr_reader :refreshed

    # run_context is the root one: what is refreshed at the end of the run stands there.
    def initialize(run_context)
      @run_context = run_context
      @settings = {}
      @services = {}
      @packages = []
      @packages_before = {}
      @started = Time.now.utc
      @stale_before = []
      @stale_after = []
      @found = { 'stale' => [], 'own_copies' => [], 'reboots' => [], 'unread' => 0 }
      @reloaded = []
      @begun = []
      @restarted = []
      @upgraded = []
      @ended = []
      @tested = {}
      @hurdles = {}
      @reexecuted = false
      @refreshed = false
      @failures = []
      @outcomes = []
    end

    # Takes in what one openssl_patch resource wants: settings are what its properties say, by their names; services is what
    # Services.present returned, packages the names of the installed packages. A service belongs to the first resource that
    # names it, lists are put together, and of two limits in seconds the longer one holds. Returns the services that are its own.
    def join(settings, services, packages)
      own = services.reject { |name, _| @services.key?(name) }
      @settings = @settings.merge(settings) { |_, one, other| one.is_a?(Array) ? one | other : [one, other].max }
      @services = @services.merge(own)
      @packages_before = Packages.versions(packages - @packages).merge(@packages_before)
      @packages |= packages
      own
    end

    # Keeps what one resource's packages came to, for the record. Returns it.
    def judge(outcome)
      @outcomes << outcome
      outcome
    end

    # Returns a sentence for each resource whose packages are not good.
    def unpatched
      @outcomes.map(&:error).compact.uniq
    end

    # Raises with these.
    def refuse
      @failures |= unpatched
      raise "openssl_patch: #{unpatched.join('; ')}"
    end

    # Returns what the resource of a service is called here, so that no other cookbook's resource is meant.
    def self.resource(name)
      "#{name} (openssl_patch)"
    end

    # Looks before anything is refreshed. Returns what there is to refresh.
    def look
      @stale_before = @stale_after = stale
      Left.unknown(@found['unread']) { |sentence| Chef::Log.warn("openssl_patch: #{sentence}") }
      Probe.counted(@stale_before)
    end

    # True if a service's own configuration test passes, or it has none: who would not come up again is left running.
    def configured?(name)
      @tested.fetch(name) { @tested[name] = passes?(name, @services.fetch(name, {})['test'].to_a) }
    end

    # Hears of every resource that changed something, and keeps what was done to services. Only a reload of this cookbook's own
    # is a step that was taken: another's may have been before the upgrade, and of a service that a reload does not help.
    def acted(resource, action)
      return unless resource.resource_name == :service

      @begun |= [resource.service_name] if action == :reload && resource.name == self.class.resource(resource.service_name)
      { reload: @reloaded, restart: @restarted }.fetch(action, []).push(resource.service_name).uniq!
    end

    # Takes the steps of each stale service, the gentlest first, and looks again after each: only who is still stale gets its
    # next one. What the data does not name is left alone. Raises, after all the others had their turn, when a service could
    # not be refreshed.
    def refresh
      left = @services.map { |name, row| [name, row['steps'].to_a.dup] }.to_h
      found = drained(@begun.map { |name| [name, left.fetch(name, []).shift] }.to_h)
      until (turn = due(found, left)).empty?
        found = drained(turn.select { |name, step| take(name, step, found) })
      end
      found = settled(refresh_init(found))
      @upgraded.each { |name| act(name, 'restart') unless Services.running?(name) }
      conclude(found)
    ensure
      @refreshed = true
    end

    # Returns what will be done about these processes, in words, a line a service; nothing of those that are left as they run.
    def intentions(processes)
      processes.group_by { |process| Services.name(process) }.map do |name, of_it|
        steps = @services.fetch(name, {})['steps'].to_a
        Strategy.words(name, steps, of_it) if (name == 'init' && Services.systemd?) || !steps.empty?
      end.compact
    end

    # Leaves the result for `invoke patch` (an override run saves no node) and on the node object.
    def record(error = nil)
      return if Chef::Config[:why_run]

      result = summary(error)
      shortened = result.merge(%w(stale_before stale_after not_touched).map { |key| [key, result[key].first(NAMED)] }.to_h)
      @run_context.node.default['openssl_patch']['last_run'] = shortened
      FileUtils.mkdir_p(STATE, mode: 0o700)
      beside = "#{RESULT}.#{Process.pid}"
      ::File.open(beside, ::File::WRONLY | ::File::CREAT | ::File::TRUNC, 0o600) { |file| file.write(JSON.pretty_generate(result)) }
      ::File.rename(beside, RESULT)
    end

    private

    def passes?(name, test)
      return true if test.empty?

      answer = Command.run(*test)
      failed(name, "its configuration test failed: #{Command.words(answer.stderr + answer.stdout, 3)}") if answer.error?
      !answer.error?
    rescue SystemCallError, Mixlib::ShellOut::CommandTimeout => e
      failed(name, "its configuration test cannot be run: #{e.message}")
      false
    end

    def stale
      @found = Probe.look(Probe.script(@run_context), @settings['libraries'])
      @found['stale']
    end

    # Returns what stays stale once the old processes of services had the time that the step taken for each gives them.
    def settled(steps)
      started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      pause = 0.1
      loop do
        @stale_after = stale
        found = Probe.counted(@stale_after)
        passed = Process.clock_gettime(Process::CLOCK_MONOTONIC) - started
        still = found.map { |process| Services.name(process) }
        return found unless still.any? { |name| steps[name] && passed < patience(steps[name]) }

        sleep pause
        pause = [pause * 2, 1].min
      end
    end

    def patience(step)
      @settings[step['end'] ? 'drain_seconds' : 'settle_seconds']
    end

    # Returns what stays stale after these steps, and ends old processes that serve somebody for longer than they may: where
    # the main process is a new one the service goes on without them.
    def drained(steps)
      found = settled(steps)
      late = steps.select { |name, step| step && step['end'] && !pids(found, name).empty? }.select do |name, step|
        main = PidFile.pid(Services.pid_file(name) || step['pid_file'])
        PidFile.alive?(main) && !pids(found, name).include?(main)
      end
      return found if late.empty?

      late.each do |name, step|
        attempt(name, "end of #{name}'s old processes", gentle: true) { pids(found, name).each { |pid| finish(pid, step['end']) } }
        @ended << name
      end
      settled(late.keys.map { |name| [name, {}] }.to_h)
    end

    def finish(pid, signal)
      Process.kill(signal, pid)
    rescue Errno::ESRCH
      nil # it went with its parent
    end

    # Returns the PIDs of a service among these processes.
    def pids(processes, name)
      processes.select { |process| Services.name(process) == name }.map { |process| process['pid'].to_i }
    end

    # Returns the services of the data that have processes among these.
    def names(processes)
      processes.map { |process| Services.name(process) }.uniq & @services.keys
    end

    # Takes the next step off what is left of each stale service's. Returns name to step.
    def due(processes, left)
      names(processes).map { |name| [name, left[name].shift] }.select(&:last).to_h
    end

    # Returns whether the step was taken: not where the configuration test fails, nor where the step itself did.
    def take(name, step, processes)
      return false unless configured?(name)
      return act(name, step['do']) unless step['do'] == 'upgrade'

      attempt(name, "in-place upgrade of #{name}", gentle: true) do
        @upgraded << name if Upgrade.new(name, step, @settings['settle_seconds']).run(pids(processes, name))
      end
    end

    # Returns what was done to systemd itself, as `settled` takes it.
    def refresh_init(processes)
      return {} unless Services.systemd? && processes.any? { |process| Services.name(process) == 'init' }

      attempt('init', 're-execution of systemd') do
        Command.run('systemctl', 'daemon-reexec').error!
        @reexecuted = true
      end
      { 'init' => {} }
    end

    def act(name, action)
      attempt(name, "#{action} of #{name}", gentle: action != 'restart') do
        @run_context.resource_collection.find("service[#{Run.resource(name)}]").run_action(action.to_sym)
      end
    end

    # Whatever goes wrong with one service must not keep the others on the old library. Where a gentle step fails a harsher
    # one may help. Returns whether it went well.
    def attempt(name, what, gentle: false)
      yield
      true
    rescue StandardError => e
      said = "#{what} failed: #{Command.words(e.message, 4)}"
      gentle ? @hurdles[name] = said : @failures << said
      Chef::Log.warn("openssl_patch: #{said}")
      false
    end

    def conclude(processes)
      @failures.concat(@hurdles.slice(*names(processes)).values)
      raise "openssl_patch: #{@failures.join('; ')}" unless @failures.empty?
    end

    def failed(name, why)
      @failures |= ["#{name} is left as it runs, because #{why}"]
    end

    # What a person needs first, what could not be refreshed or upgraded, then the run's own words.
    def said(error)
      complaints = Command.complaints(error.message)
      words = Command.words(error.message, complaints.empty? ? 6 : 1)
      known = !@failures.empty? && @failures.all? { |failure| words.include?(failure) }
      [*@failures, *complaints, *(known ? [] : [words]), *(unpatched - @failures)].join(' / ')[0, 2000]
    end

    def summary(error)
      {
        'format' => 2,
        'node' => @run_context.node.name,
        'status' => error ? 'failure' : 'success',
        'error' => error && said(error),
        'cookbook_version' => @run_context.cookbook_collection['openssl_patch'].version,
        'actions' => @settings['actions'],
        'advisories' => @settings['advisories'],
        'started' => @started.iso8601,
        'finished' => Time.now.utc.iso8601,
        'packages_before' => @packages_before,
        'packages_after' => Packages.versions(@packages),
        'verdict' => Outcome.verdict(@outcomes),
        'held' => @outcomes.flat_map(&:held).uniq,
        'stale_before' => @stale_before,
        'stale_after' => @stale_after,
        'reloaded' => @reloaded,
        'upgraded' => @upgraded,
        'ended' => @ended,
        'restarted' => @restarted,
        'reexecuted' => @reexecuted,
        'not_touched' => Left.not_touched(@stale_after, @services),
        'reboot' => Left.reboots(@found, @services, @run_context.node['openssl_patch']['reboot']),
        'unread' => @found['unread'],
        'own_copies' => @found['own_copies'],
      }
    end
  end
end
