module OpensslPatch
  # What is stale on this node, asked of the shipped probe.sh and of nothing else.
  module Probe
    FIELDS = %w(pid kind service user library since build command).freeze
    COPY = %w(pid path build).freeze
    REBOOT = %w(why sentence).freeze
    COUNTED = %w(service init container orphan).freeze
    # How many fields each line of the answer has.
    LINES = { 'stale' => FIELDS.size, 'own-copy' => COPY.size, 'reboot' => REBOOT.size, 'more' => 1, 'unread' => 1 }.freeze

    # Returns those of the processes that keep the node from being clean: not logins, nor who asks.
    def self.counted(processes)
      processes.select { |process| COUNTED.include?(process['kind']) }
    end

    # Says in words which process is stale.
    def self.described(process)
      whose = process['service'].empty? ? process['command'] : process['service']
      "PID #{process['pid']} (#{whose}) runs the deleted #{process['library']}"
    end

    # Returns where chef-client keeps the cookbook's probe.sh: it is run from there, so that --why-run can look as well.
    def self.script(run_context)
      run_context.cookbook_collection['openssl_patch'].preferred_filename_on_disk_location(run_context.node, :files, 'probe.sh')
    end

    # Returns `stale`, every stale process, each a hash with FIELDS; `own_copies`, the OpenSSLs that no upgrade of packages
    # reaches, each with COPY; `reboots`, what only a reboot mends, each with REBOOT; and `unread`, how many processes nothing
    # is known of. Raises when the answer is not whole: it is never read as clean.
    def self.look(script, libraries)
      answer = Command.run('sh', script, environment: { 'PROBE_LIBRARIES' => libraries.join(' ') })
      answer.error!
      first, *lines, last = answer.stdout.lines.map { |line| line.chomp.split("\t", -1) }
      whole = first == ['styptic-probe 3'] && last == ['end'] && lines.all? { |word, *fields| LINES[word] == fields.size } &&
              lines.any? { |word, *| word == 'unread' }
      raise 'openssl_patch: probe.sh gave no whole answer' unless whole

      {
        'stale' => named(lines, 'stale', FIELDS),
        'own_copies' => named(lines, 'own-copy', COPY),
        'reboots' => named(lines, 'reboot', REBOOT),
        'unread' => lines.select { |word, *| %w(more unread).include?(word) }.sum { |_, count| Integer(count, 10) },
      }
    end

    def self.named(lines, kind, names)
      lines.select { |word, *| word == kind }.map { |_, *fields| names.zip(fields).to_h }
    end
  end
end
