# One run at a time on a node: flock(2) on a file that holds the running client's pid.

require "fileutils"
require "timeout"
require_relative "config"

class Chef
  class RunLock
    def initialize(path)
      @path = path
    end

    # Takes the lock. Waits for ever when `limit` is nil, else at most that many seconds (0: not at all).
    # Raises Chef::Exceptions::RunLockTimeout.
    def acquire(limit)
      FileUtils.mkdir_p(File.dirname(@path))
      @file = File.open(@path, "a+")
      wait(limit) unless @file.flock(File::LOCK_EX | File::LOCK_NB)
      @file.truncate(0)
      @file.rewind
      @file.write(Process.pid.to_s)
      @file.fsync
    end

    # Gives the lock back. The file stays: another client may already wait on it.
    def release
      @file&.close
      @file = nil
    end

    private

    def wait(limit)
      @file.rewind
      holder = @file.read.strip
      raise Timeout::Error if limit && limit <= 0

      Log.warn("Chef Infra Client #{holder} is running, will wait for it to finish and then run.")
      Timeout.timeout(limit) { @file.flock(File::LOCK_EX) }
    rescue Timeout::Error
      release
      raise Exceptions::RunLockTimeout.new(limit, holder)
    end
  end
end
