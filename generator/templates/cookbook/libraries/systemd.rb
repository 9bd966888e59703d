module OpensslPatch
  # systemd's own services: which of them may be restarted, by the version of systemd and by who sits at the machine.
  module Systemd
    SESSIONS = '/run/systemd/sessions/*'.freeze

    # Returns the services with those that may not be restarted here left without steps, and with `reboot`, the sentence that
    # says why only a reboot helps.
    def self.spared(services)
      services.map { |name, row| [name, (why = why_not(name, row)) ? row.merge('steps' => [], 'reboot' => why) : row] }.to_h
    end

    def self.why_not(name, row)
      least = row['systemd']
      return unless least

      if (running = version).nil? || running < least
        "#{name} of systemd #{running || 'of an unknown version'} is not restarted (it may be from #{least} on): #{row['because']}"
      elsif row['spares_graphical'] && graphical?
        "#{name} is not restarted while there is a graphical session: #{row['because']}"
      end
    end

    # Returns systemd's version, nil where it does not say.
    def self.version
      Command.run('systemctl', '--version').stdout[/\Asystemd (\d+)/, 1]&.to_i
    end

    # True if logind knows of a session, or a greeter, on a graphical screen: sd_session_get_type(3). Beside each session's
    # file it has a FIFO, which nobody has read before that session ends.
    def self.graphical?
      Dir.glob(SESSIONS).select { |file| ::File.file?(file) }.any? { |file| ::File.read(file, 4096).to_s.match?(/^TYPE=(x11|wayland|mir)$/) }
    rescue SystemCallError
      true # a session that just ended: not known is no leave
    end
  end
end
