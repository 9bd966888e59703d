module OpensslPatch
  # Which process a PID file holds.
  module PidFile
    # Returns its first one, nil where there is none.
    def self.pid(file)
      ::File.read(file, 20)[/\A[1-9]\d*$/]&.to_i
    rescue SystemCallError
      nil
    end

    # True if there is such a process.
    def self.alive?(pid)
      !pid.nil? && Process.kill(0, pid) == 1
    rescue SystemCallError
      false
    end
  end

  # Has a service start its new program beside the old one, which hands it its sockets and ends what it has begun.
  class Upgrade
    PAUSE = 0.05

    # step is the row's; the new main process must be there within so many seconds.
    def initialize(name, step, patience)
      @step = step
      @patience = patience
      @file = Services.systemd? ? Services.pid_file(name) : step['pid_file']
      raise 'systemd would lose it, because its unit has no PIDFile=' unless @file
    end

    # stale are the PIDs of the service's stale processes; no other is sent a signal. Returns false where nothing was left
    # to begin: the main process is a new one, and what is stale drains. Raises when no new one came: the old one goes on.
    def run(stale)
      old = PidFile.pid(old_file)
      if stale.include?(main = PidFile.pid(@file))
        raise "#{old_file} holds a process: an upgrade that somebody began is not over" if PidFile.alive?(old)

        Process.kill(@step['begin'], main)
        await_next_to(main)
        old = main
      end
      return false unless stale.include?(old)

      @step['finish'].each do |signal|
        raise 'the new main process ended' unless PidFile.alive?(PidFile.pid(@file))

        Process.kill(signal, old)
      end
      true
    end

    private

    def old_file
      @file + @step['old_suffix']
    end

    def await_next_to(old)
      limit = Process.clock_gettime(Process::CLOCK_MONOTONIC) + @patience
      until PidFile.pid(old_file) == old && PidFile.alive?(found = PidFile.pid(@file)) && found != old
        raise "no new main process came within #{@patience} seconds" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > limit

        sleep PAUSE
      end
    end
  end
end
