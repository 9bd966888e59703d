module OpensslPatch
  # What is stale on this node, asked of the shipped probe.sh and of nothing else.
  module Probe
    SCRIPT = '/var/lib/openssl_patch/probe.sh'.freeze
    FIELDS = %w(pid kind service user library command).freeze
    COUNTED = %w(service init orphan).freeze

    # Returns those of the processes that keep the node from being clean: not logins, nor who asks.
    def self.counted(processes)
      processes.select { |process| COUNTED.include?(process['kind']) }
    end

    # Returns every stale process, each a hash with FIELDS.
    # Raises when the answer is not whole: it is never read as clean.
    def self.stale(libraries)
      return [] unless ::File.exist?(SCRIPT) # a first --why-run: nothing was written

      answer = Command.run('sh', SCRIPT, environment: { 'PROBE_LIBRARIES' => libraries.join(' ') })
      answer.error!
      lines = answer.stdout.lines.map { |line| line.chomp.split("\t", -1) }
      raise 'openssl_patch: probe.sh gave no whole answer' unless lines.first == ['styptic-probe 1'] && lines.last == ['end']

      lines.select { |word, *| word == 'stale' }.map { |_, *fields| FIELDS.zip(fields).to_h }
    end
  end
end
