module OpensslPatch
  # Which services of the data this node has, and how its service manager is told to restart one.
  module Services
    UNITS = %w(/etc/systemd/system /lib/systemd/system /usr/lib/systemd/system).freeze

    # sd_booted(3): systemd runs the machine if this directory is there.
    def self.systemd?
      ::File.directory?('/run/systemd/system')
    end

    # Returns the name a service has here to its row of the data, for the rows that this node has.
    def self.present(rows)
      rows.values.map { |row| [row['names'].find { |name| exist?(name) }, row] }.select(&:first).to_h
    end

    # Returns the names of those that have a step; of those whose first one is `first` where that is given.
    def self.refreshable(services, first = nil)
      services.select { |_, row| (step = row['steps'].to_a.first) && (!first || step['do'] == first) }.keys
    end

    # True if the service manager says that the service runs.
    def self.running?(name)
      words = systemd? ? %W(systemctl is-active --quiet #{name}.service) : %W(/etc/init.d/#{name} status)
      !Command.run(*words).error?
    end

    # Returns the PID file by which systemd finds the unit's main process; nil where it does not, or does not run here.
    def self.pid_file(name)
      return unless systemd?

      said = Command.run('systemctl', 'show', '-p', 'PIDFile', "#{name}.service").stdout[/^PIDFile=(.+)$/, 1]
      said && ::File.expand_path(said, '/run') # systemd.service(5): a relative one is below /run
    end

    # Returns the name by which the rows know a process's service; PID 1 is `init`. A container gets one that no row has: it
    # may be called as a service is. An instance keeps its own: no step of apache2's helps apache2@site.
    def self.name(process)
      return "container #{process['service']}" if process['kind'] == 'container'

      process['pid'] == '1' ? 'init' : process['service']
    end

    # Returns the row that a process's service goes by, under whichever of its names, an instance by its template's; an
    # empty one where there is none.
    def self.row(process, services)
      name = name(process).sub(/@.*/, '')
      services[name] || services.values.find { |row| row['names'].include?(name) } || {}
    end

    def self.exist?(name)
      ::File.exist?("/etc/init.d/#{name}") || (systemd? && UNITS.any? { |place| unit?("#{place}/#{name}.service") })
    end

    # True for a unit's file: not for an alias, whose processes go by the other name, nor for a unit that is masked.
    def self.unit?(file)
      ::File.exist?(file) && !(::File.symlink?(file) && ::File.basename(::File.readlink(file)) != ::File.basename(file))
    end

    # Returns the command a person would give for a stale process that is not refreshed here.
    def self.command(process)
      name = process['service']
      if process['kind'] == 'init' && name.empty?
        systemd? ? 'systemctl daemon-reexec' : 'reboot'
      elsif process['kind'] == 'container'
        name.empty? ? "rebuild or restart the container of PID #{process['pid']}" : "rebuild or restart the container #{name}"
      elsif name.empty?
        "restart PID #{process['pid']} of #{process['user']}"
      else
        systemd? ? "systemctl restart #{name}" : "service #{name} restart"
      end
    end
  end
end
