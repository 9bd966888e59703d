module OpensslPatch
  # What a run leaves as it is, for a person to see to.
  module Left
    # Returns who stays stale: `service`, the `command` that a person would give, and `because`, nil where there is no reason.
    def self.not_touched(processes, services)
      Probe.counted(processes).map do |process|
        row = Services.row(process, services)
        command = row['reboot'] ? 'reboot' : Services.command(process)
        { 'service' => process['service'], 'command' => command, 'because' => row['reboot'] || row['because'] }
      end.uniq
    end

    # Returns why only a reboot helps, in sentences. Of what the probe says of kernel and libc only that counts for which an
    # advisory asks: deeper.
    def self.reboots(found, services, deeper)
      said = found['reboots'].select { |reboot| deeper || reboot['why'] == 'init' }.map { |reboot| reboot['sentence'] }
      said + Probe.counted(found['stale']).map { |process| Services.row(process, services)['reboot'] }.compact.uniq
    end

    # Yields a sentence where it is not known whether the node is clean.
    def self.unknown(unread)
      yield "#{unread} processes could not be looked into, so it is not known what they run" if unread > 0
    end
  end
end
