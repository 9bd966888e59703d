module OpensslPatch
  # Which services of the data this node has, and how its service manager is told to restart one.
  module Services
    # Restarted where they are stale, after PID 1 was re-executed.
    JOURNAL_AND_LOGIN = %w(systemd-journald systemd-logind).freeze
    UNITS = %w(/etc/systemd/system /lib/systemd/system /usr/lib/systemd/system).freeze

    # sd_booted(3): systemd runs the machine if this directory is there.
    def self.systemd?
      ::File.directory?('/run/systemd/system')
    end

    # Returns the name a service has here to its row of the data, for the rows that this node has.
    def self.present(rows)
      rows.values.map { |row| [row['names'].find { |name| exist?(name) }, row] }.select(&:first).to_h
    end

    # Returns the names of journald and logind where systemd runs them.
    def self.journal_and_login
      systemd? ? JOURNAL_AND_LOGIN : []
    end

    def self.exist?(name)
      ::File.exist?("/etc/init.d/#{name}") || (systemd? && UNITS.any? { |place| ::File.exist?("#{place}/#{name}.service") })
    end

    # Returns the command a person would give for a stale process that is not refreshed here.
    def self.command(process)
      name = process['service']
      if process['kind'] == 'init' && name.empty?
        systemd? ? 'systemctl daemon-reexec' : 'reboot'
      elsif name.empty?
        "restart PID #{process['pid']} of #{process['user']}"
      else
        systemd? ? "systemctl restart #{name}" : "service #{name} restart"
      end
    end
  end
end
