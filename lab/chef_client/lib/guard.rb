# not_if and only_if: a shell command's exit status, or a block's value.

class Chef
  class Guard
    include Mixin::ShellOut

    OPTIONS = %i{cwd environment group timeout user}.freeze

    def initialize(resource, kind, command, options, block)
      unknown = options.keys - OPTIONS
      raise Standin::Unknown.new("option of #{kind}", unknown.first) unless unknown.empty?
      raise Standin::Unknown.new("guard", command.inspect) unless block ? command.nil? : command.is_a?(String) || command.is_a?(Array)

      @resource = resource
      @kind = kind
      @command = command
      @options = options
      @block = block
    end

    # Returns whether the resource may act.
    def continue?
      held = @block ? @block.call : !shell_out(*Array(@command), **@options).error?
      @kind == :only_if ? held : !held
    end

    def description
      @block ? "#{@kind}" : "#{@kind} { #{Array(@command).join(" ")} }"
    end
  end
end
