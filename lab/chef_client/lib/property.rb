# A resource's properties: the few ways of declaring one that the stand-in's resources need.

require_relative "mixins"

class Chef
  module Property
    NOT_GIVEN = Object.new.freeze

    def properties
      @properties ||= superclass.respond_to?(:properties) ? superclass.properties.dup : {}
    end

    # Declares a property: the classes its value may have, its default, and what makes a given value the kept one.
    def property(name, types, default: nil, coerce: nil, from_name: false)
      properties[name] = { types: Array(types), default: default, coerce: coerce, from_name: from_name }
      define_method(name) { |value = NOT_GIVEN| value.equal?(NOT_GIVEN) ? read_property(name) : write_property(name, value) }
    end

    def allowed_actions(*names)
      names.empty? ? @allowed_actions : @allowed_actions = [:nothing, *names]
    end

    def default_action(name = nil)
      name ? @default_action = name : @default_action
    end

    # What instances do with their properties.
    module Values
      def property_is_set?(name)
        @values.key?(name)
      end

      private

      def read_property(name)
        about = self.class.properties.fetch(name)
        return @name if about[:from_name] && !@values.key?(name)
        return about[:default] unless @values.key?(name)

        value = @values[name]
        value.is_a?(DelayedEvaluator) ? accepted(name, instance_exec(*[self].first(value.arity.abs), &value)) : value
      end

      def write_property(name, value)
        @values[name] = value.is_a?(DelayedEvaluator) ? value : accepted(name, value)
      end

      def accepted(name, value)
        about = self.class.properties.fetch(name)
        unless value.nil? || about[:types].any? { |type| type === value }
          raise Exceptions::ValidationFailed, "Property #{name} of #{self} must be one of: #{about[:types].join(", ")}! You passed #{value.inspect}."
        end
        about[:coerce] && !value.nil? ? about[:coerce].call(value) : value
      end
    end
  end
end
