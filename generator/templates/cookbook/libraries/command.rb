require 'mixlib/shellout'

# OpenSSL upgraded, and nothing left running the old library.
module OpensslPatch
  # Where the result stands, for root alone.
  STATE = '/var/lib/openssl_patch'.freeze

  # Programs that no resource stands for: package queries, the probe, configuration tests.
  module Command
    # cron's PATH, which a chef-client started by it has, ends before sbin.
    SBIN = '/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin'.freeze

    # Runs a program without a shell. Returns what mixlib-shellout returns; raises as it does when the program is not
    # there or takes longer than two minutes, not when it fails.
    def self.run(*words, environment: {})
      path = [ENV['PATH'], SBIN].compact.join(':')
      Mixlib::ShellOut.new(*words, environment: { 'LC_ALL' => 'C', 'PATH' => path }.merge(environment), timeout: 120).run_command
    end

    # Returns the lines in which apt and dpkg say why they failed, of what mixlib-shellout tells of a program that did; at
    # most four. dpkg's reason stands below its line.
    def self.complaints(text)
      below = false
      text.scrub('?').lines.map { |line| line.chomp.sub(/\ASTD(?:OUT|ERR): /, '') }.select do |line|
        reason = below && line.start_with?(' ')
        below = line.match?(/\Adpkg: (?!warning)/)
        reason || below || line.start_with?('E: ')
      end.map(&:strip).uniq.first(4)
    end

    # Returns the first lines of a text that say something, as one.
    def self.words(text, count)
      text.lines.map(&:strip).reject(&:empty?).first(count).join(' / ')
    end
  end
end
