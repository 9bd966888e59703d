module OpensslPatch
  # How far the resource goes with a stale service, and that in words.
  module Strategy
    NAMES = %w(gentle restart none).freeze
    WORDS = { 'reload' => 'reload', 'upgrade' => 'upgrade in place', 'restart' => 'restart' }.freeze

    # Returns the rows with the steps that the strategy leaves of them. A service without a restart among its steps keeps them.
    def self.applied(strategy, rows)
      rows.map { |key, row| [key, row.to_h.merge(change(strategy, row['steps'].to_a))] }.to_h
    end

    # Returns what is done about these processes, all of them of one service, with its steps; init's own have none.
    def self.words(name, steps, processes)
      how = steps.map { |step| WORDS.fetch(step['do']) }.join(', then ')
      how = name == 'init' ? 're-execute' : 'restart' if how.empty?
      many = processes.size > 1
      "refresh #{name} (#{how}): PID#{'s' if many} #{processes.map { |process| process['pid'] }.join(', ')} " \
        "#{many ? 'run' : 'runs'} the deleted #{processes.first['library']}"
    end

    def self.change(strategy, steps)
      case strategy
      when 'none' then { 'steps' => [], 'because' => 'the strategy is none' }
      when 'restart' then steps.last && steps.last['do'] == 'restart' ? { 'steps' => steps.last(1) } : {}
      else {}
      end
    end
  end
end
