# A node's attributes: levels of precedence, written level by level, read as one merged and frozen tree.
# Source of the order: docs.chef.io/attribute_precedence.

require_relative "strict"

class Chef
  # A level that makes the missing hashes on the way while it is written: default["a"]["b"] = 1.
  class VividMash < ChefUtils::Mash
    def [](key)
      value = super
      value.nil? && !key?(key) ? self[key] = VividMash.new : value
    end

    # Runs when a value comes in, so that a hash written at once is vivid as well.
    def convert_value(value)
      case value
      when VividMash then value
      when Hash then VividMash.new(value)
      when Array then value.map { |one| convert_value(one) }
      else value
      end
    end
  end

  class Attributes
    LEVELS = %i{default env_default force_default normal override env_override force_override automatic}.freeze
    DEFAULTS = %i{default env_default force_default}.freeze
    OVERRIDES = %i{override env_override force_override}.freeze

    attr_reader :levels

    def initialize
      @levels = LEVELS.to_h { |name| [name, VividMash.new] }
    end

    def replace(level, values)
      @levels[level] = VividMash.new(values || {})
    end

    def key?(key)
      @levels.each_value.any? { |level| level.key?(key) }
    end

    def keys
      @levels.each_value.flat_map(&:keys).uniq
    end

    # Returns the value under a first key, merged over all levels and frozen: a write to it is an error, as in Chef.
    def [](key)
      freeze_deep(combine(combine(group(DEFAULTS, key), level(:normal, key)), combine(group(OVERRIDES, key), level(:automatic, key))))
    end

    # Returns what is saved of several levels as one hash.
    def saved(names)
      names.reduce({}) { |sum, name| unite(sum, @levels[name].to_hash) }
    end

    private

    ABSENT = Object.new.freeze
    private_constant :ABSENT

    def level(name, key)
      @levels[name].fetch(key, ABSENT)
    end

    # Within the default (or override) levels hashes merge and arrays are joined.
    def group(names, key)
      names.map { |name| level(name, key) }.reduce { |low, high| unite(low, high) }
    end

    def unite(low, high)
      return low if high.equal?(ABSENT)
      return high if low.equal?(ABSENT)
      return low | high if low.is_a?(Array) && high.is_a?(Array)

      low.is_a?(Hash) && high.is_a?(Hash) ? low.to_hash.merge(high.to_hash) { |_, one, two| unite(one, two) } : high
    end

    # Between defaults, normal, overrides and automatic hashes merge and anything else is replaced.
    def combine(low, high)
      return low if high.equal?(ABSENT)
      return high if low.equal?(ABSENT)

      low.is_a?(Hash) && high.is_a?(Hash) ? low.to_hash.merge(high.to_hash) { |_, one, two| combine(one, two) } : high
    end

    def freeze_deep(value)
      case value
      when ABSENT then nil
      when Hash then value.each_with_object(ChefUtils::Mash.new) { |(key, one), mash| mash.regular_writer(key.to_s, freeze_deep(one)) }.freeze
      when Array then value.map { |one| freeze_deep(one) }.freeze
      when String then value.frozen? ? value : value.dup.freeze
      else value
      end
    end
  end
end
