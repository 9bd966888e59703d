module OpensslPatch
  # The locks that apt and dpkg take. apt waits for one of them itself since 1.9.11 (DPkg::Lock::Timeout); this is for all
  # of them, and for every apt.
  module AptLock
    FILES = %w(/var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock).freeze
    PAUSE = 0.5

    # Returns when nobody holds one. Raises, naming the holder, when somebody still does after so many seconds.
    def self.wait(seconds)
      limit = Process.clock_gettime(Process::CLOCK_MONOTONIC) + seconds
      told = nil
      while (found = holder)
        if Process.clock_gettime(Process::CLOCK_MONOTONIC) > limit
          raise "openssl_patch: nothing was changed, because #{found} still holds apt's lock after #{seconds} seconds: wait for it or end it, then run again"
        end

        Chef::Log.warn("openssl_patch: waiting for #{found}, which holds apt's lock") unless found == told
        told = found
        sleep PAUSE
      end
    end

    # Returns who holds a lock, as `PID 7 (apt-get install nginx)`; nil where nobody does. A lock of fcntl(2) stands in
    # /proc/locks, with a device and inode that not every file system tells the same; so whoever has a lock is asked
    # whether it has one of the files open.
    def self.holder
      files = FILES.select { |path| ::File.exist?(path) }
      pid = owners.find { |owner| files.any? { |path| open?(owner, path) } }
      pid && "PID #{pid} (#{command(pid)})"
    end

    # Returns the PIDs that have a lock of fcntl(2), not those that wait for one: proc(5), /proc/locks.
    def self.owners
      ::File.readlines('/proc/locks').map { |line| line[/\A\d+: POSIX +\S+ +WRITE +(\d+) /, 1] }.compact.uniq - [Process.pid.to_s]
    rescue SystemCallError
      []
    end

    def self.open?(pid, path)
      Dir.glob("/proc/#{pid}/fd/*").any? { |descriptor| ::File.identical?(descriptor, path) }
    end

    # Returns a process's command line in printable characters, shortened.
    def self.command(pid)
      ::File.binread("/proc/#{pid}/cmdline", 200).tr("\0", ' ').gsub(/[^ -~]/, '?').strip[0, 100]
    rescue SystemCallError
      'which just ended'
    end
  end
end
