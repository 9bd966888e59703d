# A resource's properties: the ways of declaring one that the stand-in's resources and its cookbooks need. Source:
# docs.chef.io/custom_resources, and lib/chef/property.rb of Chef 17 for what comes first.

require_relative "mixins"

class Chef
  module Property
    NOT_GIVEN = Object.new.freeze
    About = Struct.new(:types, :default, :coerce, :from_name, :equal_to, :callbacks)

    def properties
      @properties ||= superclass.respond_to?(:properties) ? superclass.properties.dup : {}
    end

    # Declares a property: the classes its value may have, its default, which may be lazy, what makes a given value the kept
    # one, and what that must be. `description`, `default_description` and `desired_state` tell people and reports alone.
    def property(name, types, default: nil, coerce: nil, from_name: false, equal_to: nil, callbacks: {}, **words)
      unknown = words.keys - %i{description default_description desired_state}
      raise Standin::Unknown.new("option of a property", unknown.first) unless unknown.empty?

      properties[name] = About.new(types.nil? ? [nil] : Array(types), default, coerce, from_name, equal_to, callbacks)
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
        return worked_out(name, @values[name]) if @values.key?(name)
        return @name if about.from_name
        return about.default unless about.default.is_a?(DelayedEvaluator)

        worked_out(name, about.default)
      end

      # Gives a property a value; nil, where it may not have that, brings its default back.
      def write_property(name, value)
        if value.nil? && !self.class.properties.fetch(name).types.include?(nil)
          @values.delete(name)
        else
          @values[name] = value.is_a?(DelayedEvaluator) ? value : accepted(name, value)
        end
      end

      def worked_out(name, value)
        value.is_a?(DelayedEvaluator) ? accepted(name, instance_exec(*[self].first(value.arity.abs), &value)) : value
      end

      # Returns what is kept of a value: coerced, then validated. Raises Chef::Exceptions::ValidationFailed.
      def accepted(name, given)
        about = self.class.properties.fetch(name)
        value = about.coerce && !given.nil? ? instance_exec(given, &about.coerce) : given
        return value if value.nil?

        refuse(name, "must be one of: #{about.types.join(", ")}", value) unless about.types.any? { |type| type === value }
        refuse(name, "must be equal to one of: #{about.equal_to.map(&:inspect).join(", ")}", value) if about.equal_to&.none?(value)
        about.callbacks.each { |message, holds| refuse(name, message, value) unless holds.call(value) }
        value
      end

      def refuse(name, why, value)
        raise Exceptions::ValidationFailed, "Property #{name} of #{self} #{why}! You passed #{value.inspect}."
      end
    end
  end
end
