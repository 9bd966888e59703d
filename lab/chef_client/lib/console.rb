# Tells a person what a run does, a line an action.

class Chef
  class Console
    def node_load_completed(node, recipes, *)
      puts "Run list of #{node.name} (#{node.chef_environment}): #{recipes.join(", ")}"
    end

    def cookbook_resolution_complete(cookbooks)
      cookbooks.each_value { |cookbook| puts "  - #{cookbook.name} (#{cookbook.version})" }
    end

    def converge_start(run_context)
      puts "#{Config[:why_run] ? "Would converge" : "Converging"} #{run_context.resource_collection.size} resources"
    end

    def resource_action_start(resource, action, *)
      puts "  * #{resource} action #{action}"
    end

    def resource_skipped(_resource, _action, reason)
      puts "    (skipped due to #{reason})"
    end

    def resource_up_to_date(*)
      puts "    (up to date)"
    end

    def resource_update_applied(_resource, _action, changes)
      Array(changes).flatten.each { |change| puts "    - #{Config[:why_run] ? "Would " : ""}#{change}" }
    end

    def resource_failed(_resource, _action, error)
      puts "    failed: #{error.class}: #{error.message}"
    end

    def run_completed(_node, status)
      puts "Chef Infra Client finished, #{status.updated_resources.size}/#{status.all_resources.size} resources " \
           "#{Config[:why_run] ? "would have been " : ""}updated in #{format("%.1f", status.elapsed_time)} seconds"
    end

    def run_failed(*)
      puts "Chef Infra Client failed."
    end
  end
end
