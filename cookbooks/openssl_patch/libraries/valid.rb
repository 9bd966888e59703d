module OpensslPatch
  # What the properties of the resource may hold.
  module Valid
    # deb-control(5), "Package", with an architecture behind it; rpm's names have capitals and underscores too.
    PACKAGE = /\A[A-Za-z0-9][A-Za-z0-9+._-]*(:[a-z0-9-]+)?\z/.freeze
    STEM = /\A[A-Za-z0-9][A-Za-z0-9+._-]*\z/.freeze
    # systemd.unit(5), without the suffix.
    SERVICE = /\A[A-Za-z0-9:_.@-]+\z/.freeze
    ROW = %w(names test steps because systemd spares_graphical).freeze
    # What a step needs beside `do`. Whatever has an `end` needs the PID file.
    STEPS = { 'reload' => [], 'upgrade' => %w(pid_file old_suffix begin finish), 'restart' => [] }.freeze
    STEP = %w(do end pid_file old_suffix begin finish).freeze

    def self.packages?(names)
      words?(names, PACKAGE)
    end

    def self.libraries?(stems)
      !stems.empty? && words?(stems, STEM)
    end

    # True if each row names services, and holds nothing that nobody would read.
    def self.rows?(rows)
      rows.values.all? do |row|
        row.is_a?(Hash) && (row.keys - ROW).empty? && !row['names'].to_a.empty? && words?(row['names'], SERVICE) &&
          row['test'].to_a.all? { |word| word.is_a?(String) } && [String, NilClass].any? { |kind| row['because'].is_a?(kind) } &&
          [Integer, NilClass].any? { |kind| row['systemd'].is_a?(kind) } && [true, false, nil].include?(row['spares_graphical'])
      end
    end

    # True if each row's steps can be taken.
    def self.steps?(rows)
      rows.values.flat_map { |row| row['steps'].to_a }.all? do |step|
        step.is_a?(Hash) && (step.keys - STEP).empty? && (needed = STEPS[step['do']]) &&
          (needed + (step['end'] ? %w(pid_file) : [])).all? { |key| step[key] } &&
          step.values.flatten.all? { |word| word.is_a?(String) }
      end
    end

    def self.words?(words, pattern)
      words.is_a?(Array) && words.all? { |word| word.is_a?(String) && word.match?(pattern) }
    end
  end
end
